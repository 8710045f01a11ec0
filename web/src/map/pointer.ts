/** The pointer and the keys on the map. */
import { $, ALL, shown, state } from "./data";
import { beside, choose, glance, show, tap } from "./panel";
import { closest, fit, hit, move, redraw, sx, sy, zoom } from "./scene";

type Place = [number, number];
type Tool = "lasso" | "box";
const { view } = state;
const surface = $("surface");
const pointers = new Map<number, { at: Place; moved: number }>();
let tool: Tool | null = null;
let last = -1;

export function setTool(wanted: Tool | null): void {
  tool = tool === wanted ? null : wanted;
  for (const name of ["lasso", "box"]) $(name).setAttribute("aria-pressed", String(tool === name));
  surface.classList.toggle("drawing", tool !== null);
}

const spot = (event: MouseEvent): Place => {
  const box = surface.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};
function inside([x, y]: Place, polygon: Place[]): boolean {
  let odd = false;
  polygon.forEach(([ax, ay], n) => {
    const [bx, by] = polygon[(n + 1) % polygon.length]!;
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) odd = !odd;
  });
  return odd;
}

export function listen(): void {
  surface.addEventListener("pointerdown", (event) => {
    surface.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { at: spot(event), moved: 0 });
    $("hover").hidden = $("tap").hidden = true;
    if (tool || event.shiftKey) state.lasso = [spot(event)];
  });
  surface.addEventListener("pointermove", (event) => {
    const held = pointers.get(event.pointerId);
    const [x, y] = spot(event);
    if (!held) return hover(x, y);
    const [dx, dy] = [x - held.at[0], y - held.at[1]];
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    held.moved += Math.abs(dx) + Math.abs(dy);
    if (other) {
      state.lasso = null;
      const before = Math.hypot(held.at[0] - other.at[0], held.at[1] - other.at[1]) || 1;
      zoom(Math.hypot(x - other.at[0], y - other.at[1]) / before, (x + other.at[0]) / 2, (y + other.at[1]) / 2);
    } else if (state.lasso && tool === "box") {
      const [left, top] = state.lasso[0]!;
      state.lasso = [[left, top], [x, top], [x, y], [left, y]];
    } else if (state.lasso) state.lasso.push([x, y]);
    else if (held.moved > 4) {
      view.x -= dx / view.k;
      view.y -= dy / view.k;
      surface.classList.add("dragging");
      move();
    }
    held.at = [x, y];
    redraw();
  });
  surface.addEventListener("pointerup", release);
  surface.addEventListener("pointercancel", release);
  surface.addEventListener("pointerleave", () => void ($("hover").hidden = true));
  surface.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...spot(event));
  }, { passive: false });
  surface.addEventListener("keydown", key);
}

function release(event: PointerEvent): void {
  const held = pointers.get(event.pointerId);
  pointers.delete(event.pointerId);
  surface.classList.remove("dragging");
  if (!held) return;
  const polygon = state.lasso;
  if (polygon && polygon.length > 2) choose(ALL.filter((i) => shown(i) && inside([sx(i), sy(i)], polygon)), event.shiftKey);
  else if (event.type === "pointerup" && held.moved <= 4) {
    const found = hit(...held.at);
    show(found);
    if (innerWidth <= 800) tap(found, ...held.at);
  }
  if (polygon) {
    state.lasso = null;
    setTool(null);
  }
  redraw();
}

function hover(x: number, y: number): void {
  const i = hit(x, y);
  const box = $("hover");
  surface.classList.toggle("over", i >= 0);
  box.hidden = i < 0;
  if (i >= 0 && last !== i) box.replaceChildren(...glance(i));
  last = i;
  beside(box, x, y);
}

function key(event: KeyboardEvent): void {
  const step = 60 / view.k;
  const moves: Record<string, Place> = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  const keys: Record<string, () => void> = {
    "+": () => zoom(1.3), "=": () => zoom(1.3), "-": () => zoom(1 / 1.3), 0: () => fit(), l: () => setTool("lasso"), b: () => setTool("box"),
    Enter: () => show(closest(state.width / 2, state.height / 2, Infinity)),
    Escape: () => {
      setTool(null);
      state.lasso = null;
      choose([]);
      show(-1);
    },
  };
  const by = moves[event.key];
  if (event.ctrlKey || event.metaKey || event.altKey || !(by || keys[event.key])) return;
  event.preventDefault();
  if (by) {
    view.x += by[0];
    view.y += by[1];
    move();
  } else keys[event.key]!();
}
