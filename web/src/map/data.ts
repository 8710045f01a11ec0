/** What the page holds, as maquette/maps/html.py writes it, and what a person has chosen to see of it. */
export interface Column {
  name: string;
  kind: "category" | "number" | "text";
  names?: string[]; // of a category's codes
  codes?: number[];
  like?: number[]; // a group of references looks as the group of that name does
  values?: (number | string | null)[];
  texts?: string[]; // numbers as the user wrote them
  low?: number;
  high?: number;
  members?: number[][];
}

export interface Layout {
  name: string;
  note: string;
  axes?: [string, string] | null;
  x: number[];
  y: number[];
  left: number; // of the units that the axes name
  high: number;
  scale: number;
  cell?: number; // of a grid: the side of a work's place
  x0?: number[]; // of a grid: where the groups' names stand
  y0?: number[];
  spots: Record<string, [number, number]>;
}

interface Data {
  names: string[]; // of all points, the first of which have a photograph
  links: string[];
  views: [string, string][][];
  tile: number;
  across: number;
  sizes: [number, number][];
  layouts: { name: string; note: string; axes: [string, string] | null; x: number[]; y: number[] }[];
  columns: Column[];
  near: number[][];
  ellipses: [[number, number], [number, number], string][];
  contours: boolean;
}

export const $ = <T extends Element = HTMLElement>(id: string): T => document.getElementById(id) as unknown as T;
export const D = JSON.parse($("data").textContent ?? "{}") as Data;
export const N = D.names.length;
export const P = D.links.length;
export const ALL = Array.from({ length: N }, (_, i) => i);
const SPAN = 1000; // the longer side of every layout in the map's own units
const STEPS = 64; // colours of a ramp

export function ends(values: Iterable<number>): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const v of values) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return [low, high];
}

export const layouts: Layout[] = D.layouts.map(({ name, note, axes, x, y }) => {
  const [left, right] = ends(x);
  const [low, high] = ends(y);
  const scale = SPAN / (Math.max(right - left, high - low) || 1);
  return { name, note, axes, left, high, scale, x: x.map((v) => (v - left) * scale), y: y.map((v) => (high - v) * scale), spots: {} };
});
const GRID = "Works group by group, in the order of the files; places say nothing else.";
export const grid: Layout = { name: "Grid, group by group", note: GRID, x: [], y: [], left: 0, high: 0, scale: 1, spots: {} };
layouts.push(grid);

// A number's range is that of the works, not of what has none.
for (const c of D.columns) if (c.kind === "number") [c.low, c.high] = ends(c.values!.filter((v): v is number => typeof v === "number"));
const NOTHING: Column = { name: "nothing", kind: "category", names: [], like: [], codes: D.names.map(() => -1) };
export const colourable = D.columns.filter((c) => c.kind !== "text");

export const state = {
  column: colourable[0] ?? NOTHING,
  layout: layouts[0]!,
  hidden: new Set<number>(),
  chosen: new Set<number>(),
  at: -1,
  exact: false,
  stamp: 0, // how often what is shown of the works has changed
  view: { x: SPAN / 2, y: SPAN / 2, k: 1 },
  width: 1,
  height: 1,
  lasso: null as [number, number][] | null,
};

export function code(i: number, c = state.column): number {
  if (c.kind === "category") return c.codes![i]!;
  const v = c.values![i];
  return typeof v !== "number" ? -1 : Math.round(((v - c.low!) / (c.high! - c.low! || 1)) * (STEPS - 1));
}
export const like = (g: number): number => state.column.like?.[g] ?? g;
export const shown = (i: number): boolean => !state.hidden.has(code(i));
export const members = (): number[][] => {
  const c = state.column;
  if (!c.members) {
    c.members = c.names!.map(() => []);
    c.codes!.forEach((g, i) => c.members![g]?.push(i));
  }
  return c.members;
};

export const number = (v: number): string => (Number.isInteger(v) ? String(v) : String(+v.toPrecision(4)));
/** What a column says of a work, whole: a number as the user wrote it, or with all its digits. */
export function value(i: number, c: Column): string {
  if (c.texts) return c.texts[i] ?? "";
  return c.kind === "category" ? (c.names![c.codes![i]!] ?? "") : String(c.values![i] ?? "");
}
export function told(i: number, c: Column): string {
  const v = c.values?.[i];
  return c.kind === "number" && !c.texts && !state.exact && typeof v === "number" ? number(v) : value(i, c);
}

// cividis, which the colour-blind read too
const RAMP: [number, number, number][] = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];
type Rgb = [number, number, number];
let palette: Rgb[] = [];
export function readPalette(): void {
  const style = getComputedStyle(document.documentElement);
  palette = ["group-1", "group-2", "group-3", "group-4", "group-5", "group-6", "group-7", "group-8", "edge", "ink"].map((name) => {
    const hex = parseInt(style.getPropertyValue(`--${name}`).trim().slice(1), 16);
    return [hex >> 16, (hex >> 8) & 255, hex & 255];
  });
}
const COLOURS = 8;
export const CHOSEN = 1e6; // no group: the colour of ink
/** The colour of a group, or of a step of the ramp; together with four shapes it repeats after 32 groups. */
export function colour(g: number): Rgb {
  if (g < 0) return palette[COLOURS]!;
  if (g === CHOSEN) return palette[COLOURS + 1]!;
  if (state.column.kind === "category") return palette[like(g) % COLOURS]!;
  const place = (g / (STEPS - 1)) * (RAMP.length - 1);
  const from = Math.min(Math.floor(place), RAMP.length - 2);
  return RAMP[from]!.map((v, c) => Math.round(v + (RAMP[from + 1]![c]! - v) * (place - from))) as Rgb;
}
export const shape = (g: number): number => (state.column.kind === "category" && g >= 0 ? (like(g) + Math.floor(like(g) / COLOURS)) % 4 : 0);
export const ramp = (): string => `linear-gradient(to right, ${RAMP.map((c) => `rgb(${c})`).join()})`;

type Child = Node | string;
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K, properties: Partial<HTMLElementTagNameMap[K]> = {}, ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
export function svg(tag: string, attributes: Record<string, string | number>, text = ""): SVGElement {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, given] of Object.entries(attributes)) made.setAttribute(name, String(given));
  made.textContent = text;
  return made;
}
