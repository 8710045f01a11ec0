/** What is drawn: the works by deck.gl in WebGL, axes under them and contours, names and the lasso over them as SVG. */
import { Deck, OrthographicView } from "@deck.gl/core";
import { IconLayer } from "@deck.gl/layers";
import { $, ALL, CHOSEN, code, colour, D, ends, grid, layouts, like, members, N, number, P, shape, shown, state, svg } from "./data";
import { PointsLayer } from "./points";
import { contour } from "./shapes";
import { atlas, drawn, ROOM, want } from "./tiles";

const { view } = state;
const REST = 140; // ms without a move until pictures are placed anew
let deck: Deck<OrthographicView> | null = null;
let dirty = false;
let moved = -REST;
export const frames = { drawn: 0 };

export const sx = (i: number): number => (state.layout.x[i]! - view.x) * view.k + state.width / 2;
export const sy = (i: number): number => (state.layout.y[i]! - view.y) * view.k + state.height / 2;

/** False where the browser has no WebGL 2; all but the points works then, too. */
export function start(): boolean {
  if (!document.createElement("canvas").getContext("webgl2")) return false;
  deck = new Deck({
    parent: $<HTMLDivElement>("gl"),
    views: new OrthographicView({ id: "map", flipY: true }),
    viewState: { target: [0, 0, 0], zoom: 0 },
    controller: false,
    useDevicePixels: Math.min(devicePixelRatio, 2),
    deviceProps: { type: "webgl", webgl: { preserveDrawingBuffer: true, antialias: false } }, // so that what is drawn is printed
    onAfterRender: () => void frames.drawn++,
    layers: [],
  });
  return true;
}

export function mark(g: number, reference: boolean): SVGElement {
  const s = shape(g);
  const made = svg("svg", { viewBox: "-8 -8 16 16", width: 16, height: 16, "aria-hidden": "true" });
  const path = ["M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0", "M-4.5-4.5h9v9h-9z", "M0-6L6 5H-6z", "M0-6.5L6.5 0L0 6.5L-6.5 0z"][s]!;
  const rgb = `rgb(${colour(g)})`;
  made.append(svg("path", { d: path, fill: reference ? "none" : rgb, stroke: rgb, "stroke-width": 2 }));
  return made;
}

/** In the grid pictures fill their places, elsewhere they are as large as the person wants; 0: marks alone. */
export function pictureSide(): number {
  const cell = state.layout.cell;
  const side = cell ? Math.min(cell * view.k * 0.88, 2 * D.tile) : +$<HTMLInputElement>("size").value;
  return side < 8 ? 0 : side;
}

// The exemplars of the groups first, then the same order every time, and none that the files have.
const exemplars = [...document.querySelectorAll<HTMLElement>("[data-works]")].flatMap((box) => box.dataset.works!.split(" ").filter(Boolean).map(Number));
const hash = (i: number): number => Math.imul(i + 1, 2654435761) >>> 0;
const order = [...new Set([...exemplars, ...ALL.slice(0, P).sort((a, b) => hash(a) - hash(b))])];
let kept = { key: "", placed: [] as number[] };
/** Which works have room for their picture: none overlaps another, whatever part of the map is in view. */
export function placed(): number[] {
  const side = pictureSide();
  if (!side) return [];
  const key = [state.layout.name, state.column.name, view.k, side, state.stamp, state.at].join();
  if (kept.key === key || performance.now() - moved < REST) return kept.placed;
  const cells = new Map<number, number[]>();
  const found: number[] = [];
  const step = (side * 1.08) / view.k;
  const { x, y } = state.layout;
  for (const i of [...(state.at >= 0 && state.at < P ? [state.at] : []), ...[...state.chosen].filter((i) => i < P), ...order]) {
    if (!shown(i) || !D.sizes[i]![0]) continue;
    const [column, row] = [Math.floor(x[i]! / step), Math.floor(y[i]! / step)];
    let free = true;
    for (let c = column - 1; free && c <= column + 1; c++) {
      for (let r = row - 1; free && r <= row + 1; r++) {
        free = !cells.get(c * 1e6 + r)?.some((j) => Math.abs(x[i]! - x[j]!) < step && Math.abs(y[i]! - y[j]!) < step);
      }
    }
    if (!free) continue;
    const cell = column * 1e6 + row;
    const there = cells.get(cell);
    there ? there.push(i) : cells.set(cell, [i]);
    found.push(i);
  }
  kept = { key, placed: found };
  return found;
}

let after = (): void => undefined;
export const onDraw = (call: () => void): void => void (after = call);
export function redraw(): void {
  if (dirty) return;
  dirty = true;
  requestAnimationFrame(() => {
    dirty = false;
    draw();
    after();
  });
}
let resting = 0;
export function move(): void {
  moved = performance.now();
  clearTimeout(resting);
  resting = window.setTimeout(redraw, REST + 10);
  redraw();
}

// Where a frame takes long, for want of a GPU, a part of the works is drawn until the map rests; all of them then.
const PART = 15000;
let slow = false;
let before = 0;
function part(): number {
  const now = performance.now();
  const moving = now - moved < REST;
  if (moving && now - before > 80 && now - before < 5000) slow = true;
  before = moving ? now : Infinity;
  return moving && slow ? PART : N;
}

let points = { key: "", data: [] as number[] };
function draw(): void {
  const map = $("map");
  if (!matchMedia("print").matches) [state.width, state.height] = [map.clientWidth, map.clientHeight];
  for (const id of ["under", "over"]) $(id).setAttribute("viewBox", `0 0 ${state.width} ${state.height}`);
  drawUnder();
  drawOver();
  const { layout, column, chosen } = state;
  const key = [column.name, state.stamp].join();
  const some = chosen.size > 0;
  // The chosen ones last, over the others; works over references.
  if (points.key !== key) points = { key, data: ALL.filter(shown).sort((a, b) => +chosen.has(a) - +chosen.has(b) || +(a < P) - +(b < P) || hash(a) - hash(b)) };
  const here = placed().filter((i) => Math.abs(sx(i) - state.width / 2) < state.width * 0.7 && Math.abs(sy(i) - state.height / 2) < state.height * 0.7).slice(0, ROOM);
  void want(here, redraw);
  const ready = here.filter((i) => drawn.get(i)?.height);
  const side = pictureSide() / D.tile;
  const position = (i: number): [number, number, number] => [layout.x[i]!, layout.y[i]!, 0];
  const alpha = (i: number): number => (!some || chosen.has(i) ? 255 : 60);
  const mapping = (mask: boolean): Record<string, object> => Object.fromEntries(ready.map((i) => [`${i}`, { ...drawn.get(i)!, mask }]));
  const pictures = (id: string, mask: boolean) => new IconLayer<number>({
    id, data: ready, iconAtlas: atlas as never, iconMapping: mapping(mask) as never, getIcon: (i) => `${i}`, getPosition: position,
    getSize: (i) => drawn.get(i)!.height * side + (mask ? (i === state.at ? 10 : 4) : 0),
    getColor: (i) => [...(mask ? colour(i === state.at ? CHOSEN : code(i)) : ([0, 0, 0] as const)), alpha(i)] as [number, number, number, number],
    updateTriggers: { getSize: [side, state.at], getColor: [key, state.at], getPosition: layout.name + column.name },
  });
  deck?.setProps({
    viewState: { target: [view.x, view.y, 0], zoom: Math.log2(view.k) },
    layers: [
      new PointsLayer({
        id: "marks", data: points.data, most: part(), size: N > 20000 ? 5 : N > 3000 ? 8 : 11, getPosition: position,
        getShape: (i) => shape(code(i)) + (i < P ? 0 : 4),
        getColor: (i) => [...colour(code(i)), alpha(i)] as [number, number, number, number],
        updateTriggers: { getShape: key, getPosition: layout.name + column.name, getColor: key },
      }),
      ...(atlas && ready.length ? [pictures("frames", true), pictures("pictures", false)] : []),
    ],
  });
}

function drawUnder(): void {
  const { layout, width, height } = state;
  const parts: SVGElement[] = [];
  if (layout.axes) {
    const step = 90 / view.k / layout.scale;
    const power = 10 ** Math.floor(Math.log10(step));
    const every = power * [1, 2, 5, 10].find((m) => m * power >= step)!;
    const x = (v: number): number => ((v - layout.left) * layout.scale - view.x) * view.k + width / 2;
    const y = (v: number): number => ((layout.high - v) * layout.scale - view.y) * view.k + height / 2;
    const left = (view.x - width / 2 / view.k) / layout.scale + layout.left;
    const low = layout.high - (view.y + height / 2 / view.k) / layout.scale;
    for (let n = Math.ceil(left / every); x(n * every) < width; n++) {
      parts.push(svg("path", { d: `M${x(n * every)} 0V${height}` }), svg("text", { x: x(n * every) + 3, y: height - 34 }, number(n * every)));
    }
    for (let n = Math.ceil(low / every); y(n * every) > 0; n++) {
      parts.push(svg("path", { d: `M0 ${y(n * every)}H${width}` }), svg("text", { x: 4, y: y(n * every) - 3 }, number(n * every)));
    }
    parts.push(svg("text", { x: width - 6, y: height - 50, class: "end" }, `${layout.axes[0]} →`), svg("text", { x: width - 6, y: 18, class: "end" }, `${layout.axes[1]} ↑`));
    for (const [[cx, cy], [rx, ry], name] of layout === layouts[0] ? D.ellipses : []) {
      const f = layout.scale * view.k;
      parts.push(svg("ellipse", { cx: x(cx), cy: y(cy), rx: rx * f, ry: ry * f }), svg("text", { x: x(cx) + 4, y: y(cy + ry) - 4 }, name));
    }
  }
  $("under").replaceChildren(...parts);
}

const lines = new Map<string, string[][]>();
function drawOver(): void {
  const { layout, column, width, height, lasso } = state;
  const parts: SVGElement[] = [];
  if (column.kind === "category") {
    if ($<HTMLInputElement>("contours").checked && layout !== grid) {
      const key = `${layout.name}\n${column.name}`;
      if (!lines.has(key)) lines.set(key, members().map((group) => contour(group, layout)));
      const map = svg("g", { transform: `translate(${width / 2} ${height / 2}) scale(${view.k}) translate(${-view.x} ${-view.y})` });
      lines.get(key)!.forEach((levels, g) => {
        if (!state.hidden.has(g)) levels.forEach((d, level) => map.append(svg("path", { d, stroke: `rgb(${colour(g)})`, class: level ? "nine" : "half" })));
      });
      parts.push(map);
    }
    parts.push(...names());
  }
  const { at } = state;
  if (at >= P || (at >= 0 && !pictureSide())) parts.push(svg("circle", { cx: sx(at), cy: sy(at), r: 9 }));
  if (lasso) parts.push(svg("polygon", { points: lasso.map((p) => p.join()).join(" ") }));
  $("over").replaceChildren(...parts);
}

type Box = [number, number, number, number];
const meet = ([left, top, right, bottom]: Box, [l, t, r, b]: Box): boolean => left < r && right > l && top < b && bottom > t;
/** The groups' names, the largest group's first; one that has no room beside the others is left out until there is. */
function names(): SVGElement[] {
  const { column, layout } = state;
  if (column.names!.length > 60) return [];
  const taken: Box[] = [];
  const f = pictureSide() / D.tile / 2;
  const pictures = (layout.cell ? [] : placed()).map((i): Box => [sx(i) - D.sizes[i]![0] * f, sy(i) - D.sizes[i]![1] * f, sx(i) + D.sizes[i]![0] * f, sy(i) + D.sizes[i]![1] * f]);
  const parts: SVGElement[] = [];
  const groups = members().map((group, g) => ({ group, g })).sort((a, b) => b.group.length - a.group.length);
  const middle = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;
  for (const { group, g } of groups) {
    if (state.hidden.has(g) || !group.length || (like(g) !== g && !state.hidden.has(like(g)))) continue;
    const spot = (layout.spots[`${column.name}\n${g}`] ??= layout.x0
      ? [layout.x0[g]!, layout.y0![g]!]
      : [middle(group.map((i) => layout.x[i]!)), middle(group.map((i) => layout.y[i]!))]);
    const x = (spot[0] - view.x) * view.k + state.width / 2;
    if (x < -60 || x > state.width + 60) continue;
    const y = (spot[1] - view.y) * view.k + state.height / 2;
    const half = column.names![g]!.length * 4.2 + 4;
    const boxes = (layout.cell ? [0] : [0, -22, 22, -44, 44, -62, 62]).map((shift): Box => [x - half, y + shift - 11, x + half, y + shift + 11]);
    const free = boxes.filter((box) => !taken.some((other) => meet(box, other)));
    const box = free.find((one) => !pictures.some((other) => meet(one, other))) ?? free[0];
    if (!box) continue;
    taken.push(box);
    parts.push(svg("text", { x, y: box[1] + 16, class: "name" }, column.names![g]));
  }
  return parts;
}

export function fit(only?: number[]): void {
  const { layout } = state;
  const group = only ?? ALL;
  const [left, right] = ends(group.map((i) => layout.x[i]!));
  const [low, high] = ends(group.map((i) => layout.y[i]!));
  const map = $("map");
  [state.width, state.height] = [map.clientWidth, map.clientHeight];
  const margin = Math.min(110, state.width / 5);
  Object.assign(view, { x: (left + right) / 2, y: (low + high) / 2 });
  view.k = Math.min((state.width - margin) / (right - left || 1), (state.height - margin) / (high - low || 1), only ? 60 : Infinity);
  redraw();
}
export function zoom(factor: number, x = state.width / 2, y = state.height / 2): void {
  const k = Math.min(Math.max(view.k * factor, 0.05), 5000);
  const shift = 1 / view.k - 1 / k;
  view.x += (x - state.width / 2) * shift;
  view.y += (y - state.height / 2) * shift;
  view.k = k;
  move();
}
export function reveal(i: number): void {
  if (Math.abs(sx(i) - state.width / 2) > state.width / 2 - 40 || Math.abs(sy(i) - state.height / 2) > state.height / 2 - 40) {
    [view.x, view.y] = [state.layout.x[i]!, state.layout.y[i]!];
  }
  redraw();
}
/** The work whose picture, else whose mark, is there; -1 where none is. */
export function hit(x: number, y: number): number {
  const f = pictureSide() / D.tile / 2;
  for (const i of placed()) if (Math.abs(sx(i) - x) <= D.sizes[i]![0] * f && Math.abs(sy(i) - y) <= D.sizes[i]![1] * f) return i;
  return closest(x, y, 12);
}
export function closest(x: number, y: number, within: number): number {
  let best = -1;
  for (let i = 0; i < N; i++) {
    const d = Math.hypot(sx(i) - x, sy(i) - y);
    if (d < within && shown(i)) [within, best] = [d, i];
  }
  return best;
}