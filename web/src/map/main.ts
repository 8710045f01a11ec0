/** The page of `maquette cluster` and `maquette embed`: one file, which html.py puts together. */
import { $, ALL, colourable, D, el, grid, layouts, readPalette, state } from "./data";
import "./map.css";
import { choose, legend, show, workButton } from "./panel";
import { listen, setTool } from "./pointer";
import { fit, frames, onDraw, redraw, start, zoom } from "./scene";
import { makeGrid } from "./shapes";

const { view } = state;
const size = $<HTMLInputElement>("size");
const contours = $<HTMLInputElement>("contours");

function setColour(name: string | null): void {
  state.column = colourable.find((c) => c.name === name) ?? colourable[0] ?? state.column;
  $<HTMLSelectElement>("colour").value = state.column.name;
  contours.disabled = state.column.kind !== "category";
  state.hidden.clear();
  state.stamp++;
  legend();
  if (state.layout === grid) {
    makeGrid();
    fit();
  }
  redraw();
}
function setLayout(name: string | null): void {
  state.layout = layouts.find((l) => l.name === name) ?? layouts[0]!;
  $<HTMLSelectElement>("layout").value = state.layout.name;
  $("note").textContent = state.layout.note;
  if (state.layout === grid) makeGrid();
  fit();
}

// The address keeps the view, so that it can be sent along with the file, and comes back on reloading.
let timer = 0;
function remember(): void {
  const kept: Record<string, string> = {
    colour: state.column.name, arrange: state.layout.name, view: [view.x, view.y, view.k].map((v) => +v.toPrecision(6)).join(), pictures: size.value,
  };
  if (state.at >= 0) kept.work = D.names[state.at]!;
  clearTimeout(timer);
  timer = window.setTimeout(() => history.replaceState(null, "", `#${new URLSearchParams(kept)}`), 300);
}
function recall(): void {
  const kept = new URLSearchParams(location.hash.slice(1));
  if (location.hash && !kept.has("view")) return; // a part of the page
  size.value = kept.get("pictures") ?? size.value;
  setColour(kept.get("colour"));
  setLayout(kept.get("arrange"));
  const [x, y, k] = (kept.get("view") ?? "").split(",").map(Number) as [number, number, number];
  if (k > 0 && isFinite(x + y + k)) Object.assign(view, { x, y, k });
  const work = D.names.indexOf(kept.get("work") ?? "");
  if (work >= 0) show(work);
}

function find(): void {
  const wanted = $<HTMLInputElement>("find").value.trim().toLowerCase();
  const found = wanted.length < 2 ? [] : ALL.filter((i) => D.names[i]!.toLowerCase().includes(wanted));
  $("found").textContent = wanted.length < 2 || found.length ? "" : `Nothing found: no name has “${wanted}” in it.`;
  choose(found);
}

readPalette();
for (const c of colourable) $("colour").append(el("option", {}, c.name));
for (const l of layouts) $("layout").append(el("option", {}, l.name));
contours.checked = D.contours;
if (!start()) $("unseen").hidden = false;
setColour(null);
setLayout(null);
recall();
listen();
onDraw(remember);
$("in").onclick = () => zoom(1.5);
$("out").onclick = () => zoom(1 / 1.5);
$("all").onclick = () => fit();
$("lasso").onclick = () => setTool("lasso");
$("box").onclick = () => setTool("box");
$("colour").onchange = (event) => setColour((event.target as HTMLSelectElement).value);
$("layout").onchange = (event) => setLayout((event.target as HTMLSelectElement).value);
size.oninput = contours.onchange = redraw;
$("find").oninput = find;
$("controls").onsubmit = (event) => event.preventDefault();
addEventListener("hashchange", recall);
for (const query of ["(prefers-color-scheme: dark)", "print"]) {
  matchMedia(query).addEventListener("change", () => {
    readPalette();
    state.stamp++;
    legend();
    redraw();
  });
}
new ResizeObserver(redraw).observe($("map"));
for (const box of document.querySelectorAll<HTMLElement>("[data-works]")) {
  box.replaceChildren(...box.dataset.works!.split(" ").filter(Boolean).map((i) => workButton(+i)));
}
// For benchmarks.maps: how many frames deck.gl has drawn.
Object.defineProperty(document.documentElement, "frames", { get: () => frames.drawn });
document.documentElement.dataset.ready = "yes";
