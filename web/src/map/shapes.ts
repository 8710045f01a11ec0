/** Contours of groups, and the grid. */
import { ALL, ends, grid, members, N, state, type Layout } from "./data";

/**
 * Regions of highest density (Hyndman 1996) that hold 50 % and 90 % of a group, by a Gaussian kernel of Scott's width (1992):
 * for each level the `d` of an SVG path in the map's units.
 */
export function contour(group: number[], layout: Layout): string[] {
  if (group.length < 8) return [];
  const G = 96;
  const [ax, ay] = [layout.x, layout.y].map((all) => {
    const v = group.map((i) => all[i]!);
    const mean = v.reduce((a, b) => a + b) / v.length;
    const [low, high] = ends(v);
    const h = (Math.sqrt(v.reduce((s, x) => s + (x - mean) ** 2, 0) / v.length) || 1) * v.length ** (-1 / 6);
    const cell = (high - low + 6 * h) / (G - 1);
    return { v: v.map((x) => (x - low + 3 * h) / cell), low: low - 3 * h, cell, sigma: h / cell };
  }) as [Axis, Axis];
  const at = (n: number): number => Math.round(ay.v[n]!) * G + Math.round(ax.v[n]!);
  let density = new Float64Array(G * G);
  group.forEach((_, n) => density[at(n)]!++);
  for (const [axis, step, other] of [[ax, 1, G], [ay, G, 1]] as [Axis, number, number][]) density = blurred(density, G, axis.sigma, step, other);
  const heights = group.map((_, n) => density[at(n)]!).sort((a, b) => b - a);
  return [0.5, 0.9].map((share) => {
    const level = heights[Math.min(heights.length - 1, Math.floor(share * heights.length))]! * 0.9999;
    let d = "";
    for (let r = 0; r < G - 1; r++) {
      for (let c = 0; c < G - 1; c++) {
        // marching squares: each crossed cell has two or four crossings
        const corners: [number, number][] = [[c, r], [c + 1, r], [c + 1, r + 1], [c, r + 1]];
        let cuts = 0;
        corners.forEach(([x, y], e) => {
          const [u, v] = corners[(e + 1) % 4]!;
          const a = density[y * G + x]! - level;
          const b = density[v * G + u]! - level;
          if (a > 0 === b > 0) return;
          const f = a / (a - b);
          d += `${cuts++ % 2 ? "L" : "M"}${(ax.low + (x + (u - x) * f) * ax.cell).toFixed(2)} ${(ay.low + (y + (v - y) * f) * ay.cell).toFixed(2)}`;
        });
      }
    }
    return d;
  });
}

interface Axis {
  v: number[];
  low: number;
  cell: number;
  sigma: number;
}

function blurred(from: Float64Array, G: number, sigma: number, step: number, other: number): Float64Array<ArrayBuffer> {
  const out = new Float64Array(G * G);
  const reach = Math.ceil(3 * sigma);
  const kernel = Array.from({ length: reach + 1 }, (_, d) => Math.exp((-d * d) / 2 / sigma / sigma));
  for (let a = 0; a < G; a++) {
    for (let b = 0; b < G; b++) {
      const v = from[a * step + b * other]!;
      if (!v) continue;
      for (let d = Math.max(-reach, -a); d <= Math.min(reach, G - 1 - a); d++) out[(a + d) * step + b * other]! += v * kernel[Math.abs(d)]!;
    }
  }
  return out;
}

/** A block for each group, blocks in rows as wide as all are high. */
export function makeGrid(): void {
  const { column } = state;
  const last = (i: number): number => (column.values![i] as number | null) ?? Infinity;
  const groups = column.kind === "category" ? [...members(), ALL.filter((i) => column.codes![i]! < 0)] : [[...ALL].sort((a, b) => last(a) - last(b))];
  const total = Math.sqrt(N) * 1.5;
  let [left, top, tallest] = [0, 0, 0];
  const [x, y, x0, y0]: number[][] = [[], [], [], []];
  for (const group of groups) {
    const across = Math.max(1, Math.ceil(Math.sqrt(group.length * 1.2)));
    const down = Math.ceil(group.length / across);
    if (left && left + across > total) [left, top, tallest] = [0, top + tallest + 1.6, 0];
    x0!.push(left + across / 2 - 0.5);
    y0!.push(top - 0.6);
    group.forEach((i, n) => {
      x![i] = left + (n % across);
      y![i] = top + Math.floor(n / across);
    });
    left += across + 0.8;
    tallest = Math.max(tallest, down);
  }
  const cell = 1000 / Math.max(ends(x!)[1], ends(y!)[1], 1);
  const scaled = (values: number[]): number[] => values.map((v) => v * cell);
  Object.assign(grid, { x: scaled(x!), y: scaled(y!), x0: scaled(x0!), y0: scaled(y0!), spots: {}, cell });
}
