
// What stands beside the map: controls, legend, the work that was clicked, the selection; and the pointer and the keys.
function legend() {
  const box = $("legend"), counts = new Map();
  for (let i = 0; i < N; i++) counts.set(code(i), (counts.get(code(i)) ?? 0) + 1);
  box.replaceChildren();
  if (column.kind === "number") {
    const ramp = el("canvas", {width: STEPS, height: 1, className: "ramp"}), p = ramp.getContext("2d");
    for (let g = 0; g < STEPS; g++) { p.fillStyle = colour(g); p.fillRect(g, 0, 1, 1); }
    box.append(ramp, el("div", {className: "ends"}, el("span", {}, number(column.low)), el("span", {}, number(column.high))));
  }
  const names = column.kind === "category" ? column.names.map((name, g) => [g, name]) : [];
  for (const [g, name] of counts.has(-1) ? [...names, [-1, "no value"]] : names) {
    const group = el("button", {type: "button", className: "group", title: "Hide or show", onclick: () => {
      hidden.has(g) ? hidden.delete(g) : hidden.add(g);
      group.setAttribute("aria-pressed", !hidden.has(g));
      redraw();
    }}, mark(g, g >= 0 && members()[g].every(i => i >= P), 5), el("span", {}, name), el("span", {className: "count"}, counts.get(g) ?? 0));
    group.setAttribute("aria-pressed", !hidden.has(g));
    const pick = el("button", {type: "button", className: "pick", onclick: event => choose(only(i => code(i) === g), event.shiftKey)}, "select");
    pick.setAttribute("aria-label", `Select ${name}`);
    box.append(el("div", {className: "row"}, group, pick));
  }
}
const only = test => Array.from({length: N}, (_, i) => i).filter(test);
function facts(i) {
  const list = el("dl");
  for (const c of D.columns) if (value(i, c) !== "") list.append(el("dt", {}, c.name), el("dd", {}, told(i, c)));
  return list;
}
function show(i) {
  at = i;
  const box = $("detail");
  box.replaceChildren();
  if (i >= 0) {
    const small = picture(i, Math.min(240, Math.max(D.tile, 120)));
    box.append(small, el("h2", {}, D.names[i]));
    if (i < P) {
      // The photograph itself, where the page still lies beside it; the thumbnail stays where it does not.
      const large = el("img", {alt: "", src: D.links[i], onload: () => small.replaceWith(large)});
      box.append(el("p", {}, el("a", {href: D.links[i], target: "_blank", rel: "noopener"}, "Open the photograph")));
    }
    if (D.views[i]?.length) {
      const views = D.views[i].map(([name, link]) => el("li", {}, el("a", {href: link, target: "_blank", rel: "noopener"}, name)));
      box.append(el("h3", {}, "Further photographs of it"), el("ul", {}, ...views));
    }
    box.append(facts(i));
    if (D.near[i]?.length) box.append(el("h3", {}, "Nearest in this collection"), el("div", {className: "works"}, ...D.near[i].map(j => workButton(j))));
    box.append(el("div", {className: "buttons"}, el("button", {type: "button", onclick: () => show(-1)}, "Close")));
  }
  redraw();
}
function choose(works, more = false) {
  stamp++;
  chosen = new Set(more ? [...chosen, ...works] : works);
  const box = $("selection"), list = [...chosen].sort((a, b) => a - b), pictures = list.slice(0, 60);
  box.replaceChildren();
  if (list.length) {
    const button = (name, onclick) => el("button", {type: "button", onclick}, name);
    box.append(el("h2", {}, `${list.length} selected`), el("div", {className: "buttons"}, button("Save as CSV", save), button("Zoom to them", () => fit(list)), button("Clear", () => choose([]))));
    if (column.kind === "category") {
      const shares = el("dl");
      [...column.names.keys(), -1].map(g => [g, list.filter(i => code(i) === g).length]).filter(([, n]) => n).sort((a, b) => b[1] - a[1]).slice(0, 12)
        .forEach(([g, n]) => shares.append(el("dt", {}, column.names[g] ?? "no value"), el("dd", {}, `${n} (${Math.round(n / list.length * 100)} %)`)));
      box.append(shares);
    }
    box.append(el("div", {className: "works"}, ...pictures.map(i => workButton(i, 48))));
    if (pictures.length < list.length) box.append(el("p", {}, `and ${list.length - pictures.length} more`));
  }
  redraw();
}
function table(works) { // RFC 4180; the byte order mark tells Excel that it is UTF-8
  const cell = v => /[",\r\n]/.test(v) ? `"${v.replaceAll('"', '""')}"` : v, plain = v => /^[=+\-@\t\r]/.test(v) ? `'${v}` : v; // a text, no formula
  const rows = [["work", ...D.columns.map(c => c.name)].map(plain),
    ...works.map(i => [plain(D.names[i]), ...D.columns.map(c => c.kind === "number" ? value(i, c) : plain(value(i, c)))])];
  return "\ufeff" + rows.map(row => row.map(cell).join(",") + "\r\n").join("");
}
function save() {
  const address = URL.createObjectURL(new Blob([table([...chosen].sort((a, b) => a - b))], {type: "text/csv"}));
  el("a", {href: address, download: "selection.csv"}).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
function setColour(name) {
  column = D.columns.find(c => c.name === name && c.kind !== "text") ?? D.columns.find(c => c.kind !== "text") ?? {name: "nothing", kind: "category", names: [], codes: D.names.map(() => -1)};
  $("colour").value = column.name;
  $("contours").disabled = column.kind !== "category";
  hidden.clear(); markers.clear();
  legend();
  if (layout === layouts.at(-1)) { makeGrid(layout); fit(); }
  redraw();
}
function setLayout(name) {
  layout = layouts.find(l => l.name === name) ?? layouts[0];
  $("layout").value = layout.name;
  $("note").textContent = layout.note;
  if (layout === layouts.at(-1)) makeGrid(layout);
  fit();
}
function setLasso(on) { drawing = on; $("lasso").setAttribute("aria-pressed", on); canvas.classList.toggle("lasso", on); }
// The address keeps the view, so that it can be sent along with the file, and comes back on reloading.
function remember() {
  const state = {colour: column.name, arrange: layout.name, view: [view.x, view.y, view.k].map(v => +v.toPrecision(6)).join(), pictures: $("size").value};
  if (at >= 0) state.work = D.names[at];
  clearTimeout(remember.timer);
  remember.timer = setTimeout(() => history.replaceState(null, "", "#" + new URLSearchParams(state)), 300);
}
function recall() {
  const state = new URLSearchParams(location.hash.slice(1));
  if (state.get("pictures")) $("size").value = state.get("pictures");
  setColour(state.get("colour"));
  setLayout(state.get("arrange"));
  const [x, y, k] = (state.get("view") ?? "").split(",").map(Number);
  if (k > 0 && isFinite(x + y + k)) Object.assign(view, {x, y, k});
  const work = D.names.indexOf(state.get("work"));
  if (work >= 0) show(work);
}

const spot = event => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
function inside([x, y], polygon) {
  let odd = false;
  polygon.forEach(([ax, ay], n) => {
    const [bx, by] = polygon[(n + 1) % polygon.length];
    if (ay > y !== by > y && x < (bx - ax) * (y - ay) / (by - ay) + ax) odd = !odd;
  });
  return odd;
}
canvas.addEventListener("pointerdown", event => {
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, {at: spot(event), moved: 0});
  $("hover").hidden = true;
  if (drawing || event.shiftKey) lasso = [spot(event)];
});
canvas.addEventListener("pointermove", event => {
  const held = pointers.get(event.pointerId), [x, y] = spot(event);
  if (!held) return hover(x, y);
  const [dx, dy] = [x - held.at[0], y - held.at[1]], other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
  held.moved += Math.abs(dx) + Math.abs(dy);
  if (other) {
    lasso = null;
    zoom(Math.hypot(x - other.at[0], y - other.at[1]) / (Math.hypot(held.at[0] - other.at[0], held.at[1] - other.at[1]) || 1), (x + other.at[0]) / 2, (y + other.at[1]) / 2);
  } else if (lasso) lasso.push([x, y]);
  else if (held.moved > 4) { view.x -= dx / view.k; view.y -= dy / view.k; moved = performance.now(); canvas.classList.add("dragging"); }
  held.at = [x, y];
  redraw();
});
function release(event) {
  const held = pointers.get(event.pointerId);
  pointers.delete(event.pointerId);
  canvas.classList.remove("dragging");
  if (!held) return;
  if (lasso && lasso.length > 2) choose(only(i => shown(i) && inside([sx(i), sy(i)], lasso)), event.shiftKey);
  else if (event.type === "pointerup" && held.moved <= 4) show(hit(...held.at));
  if (lasso) { lasso = null; setLasso(false); }
  redraw();
}
canvas.addEventListener("pointerup", release);
canvas.addEventListener("pointercancel", release);
canvas.addEventListener("pointerleave", () => { $("hover").hidden = true; });
canvas.addEventListener("wheel", event => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? .05 : .0015)), ...spot(event));
}, {passive: false});
function hover(x, y) {
  const i = hit(x, y), box = $("hover");
  canvas.classList.toggle("over", i >= 0);
  box.hidden = i < 0;
  if (i < 0 || hover.last !== i) box.replaceChildren();
  if (i >= 0 && hover.last !== i) {
    const facts = D.columns.filter(c => c.kind !== "text" && value(i, c) !== "").slice(0, 4).map(c => `${c.name} ${told(i, c)}`);
    box.append(...i < P ? [picture(i, Math.min(160, 2 * D.tile))] : [], el("strong", {}, D.names[i]), el("div", {}, facts.join(" · ")));
  }
  hover.last = i;
  box.style.left = Math.max(0, Math.min(x + 16, width - box.offsetWidth - 4)) + "px";
  box.style.top = Math.max(0, Math.min(y + 16, height - box.offsetHeight - 4)) + "px";
}
canvas.addEventListener("keydown", event => {
  const step = 60 / view.k, moves = {ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step]}[event.key];
  const keys = {"+": () => zoom(1.3), "=": () => zoom(1.3), "-": () => zoom(1 / 1.3), 0: () => fit(), l: () => setLasso(!drawing),
    Escape: () => { setLasso(false); lasso = null; choose([]); show(-1); }, Enter: () => show(closest(width / 2, height / 2, Infinity))};
  if (event.ctrlKey || event.metaKey || event.altKey || !(moves || keys[event.key])) return;
  event.preventDefault();
  if (moves) { view.x += moves[0]; view.y += moves[1]; redraw(); } else keys[event.key]();
});
$("in").onclick = () => zoom(1.5);
$("out").onclick = () => zoom(1 / 1.5);
$("all").onclick = () => fit();
$("lasso").onclick = () => setLasso(!drawing);
$("colour").onchange = event => setColour(event.target.value);
$("layout").onchange = event => setLayout(event.target.value);
$("size").oninput = $("contours").onchange = redraw;
$("find").oninput = event => {
  const wanted = event.target.value.trim().toLowerCase();
  choose(wanted.length < 2 ? [] : only(i => D.names[i].toLowerCase().includes(wanted)));
};
$("controls").onsubmit = event => event.preventDefault();
addEventListener("hashchange", recall);
new ResizeObserver(redraw).observe(canvas);

for (const c of D.columns) if (c.kind !== "text") $("colour").append(el("option", {}, c.name));
for (const l of layouts) $("layout").append(el("option", {}, l.name));
$("contours").checked = D.contours;
recall();
// A sprite is decoded once, beside the page's own work, and kept as pixels.
Promise.all([...document.querySelectorAll("img.sprite")].map((img, n) => img.decode().then(() => createImageBitmap(img)).then(bitmap => { sprites[n] = bitmap; stamp++; redraw(); })))
  .then(() => {
    for (const box of document.querySelectorAll("[data-works]")) box.replaceChildren(...box.dataset.works.split(" ").filter(Boolean).map(i => workButton(+i)));
    if (at >= 0) show(at);
    document.documentElement.dataset.ready = "yes";
  });
