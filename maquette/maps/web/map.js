
"use strict";
// The map of a page that maquette made. Data, as html.py writes it: names of all points, the first of which have a photograph
// (links, sizes, tiles in the sprites, further views); layouts (x and y of each point); columns (a number or a category's code for each point).
const $ = id => document.getElementById(id), D = JSON.parse($("data").textContent);
const N = D.names.length, P = D.links.length, canvas = $("canvas"), pen = canvas.getContext("2d");
// Tol's muted scheme (2021), which the colour-blind tell apart too; colour and shape together repeat after 36 groups.
const COLOURS = ["#332288", "#cc6677", "#117733", "#88ccee", "#882255", "#44aa99", "#999933", "#aa4499", "#ddcc77"], SHAPES = 4, NONE = "#b9b4aa";
const RAMP = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]]; // cividis
const STEPS = 64, SPAN = 1000; // colours of a ramp; the longer side of every layout in the map's own units
const view = {x: SPAN / 2, y: SPAN / 2, k: 1}, hidden = new Set(), pointers = new Map(), sprites = [], markers = new Map();
const layer = {canvas: document.createElement("canvas"), key: "", x: 0, y: 0, k: 1}, ROOM = .25, REST = 140; // ms
let moved = -REST, stamp = 0; // when the view last changed; how often the selection or the pictures did
let column, layout, chosen = new Set(), at = -1, width = 1, height = 1, dirty = false, lasso = null, drawing = false, kept = {}, lines = {};

const layouts = D.layouts.map(({name, note, axes, x, y}) => {
  const [left, right] = ends(x), [low, high] = ends(y), scale = SPAN / (Math.max(right - left, high - low) || 1);
  return {name, note, axes, left, high, scale, x: x.map(v => (v - left) * scale), y: y.map(v => (high - v) * scale)};
});
layouts.push({name: "Grid, group by group", note: "Works group by group, in the order of the files; places say nothing else."});
// A number's range is that of the works, not of what has none.
for (const c of D.columns) if (c.kind === "number") [c.low, c.high] = ends(c.values.filter(v => v !== null));

function ends(values) {
  let low = Infinity, high = -Infinity;
  for (const v of values) { if (v < low) low = v; if (v > high) high = v; }
  return [low, high];
}
function code(i, c = column) {
  if (c.kind === "category") return c.codes[i];
  return c.values[i] === null ? -1 : Math.round((c.values[i] - c.low) / (c.high - c.low || 1) * (STEPS - 1));
}
function colour(g) {
  if (g < 0) return NONE;
  if (column.kind === "category") return COLOURS[like(g) % COLOURS.length];
  const place = g / (STEPS - 1) * (RAMP.length - 1), from = Math.min(Math.floor(place), RAMP.length - 2);
  return `rgb(${RAMP[from].map((v, c) => Math.round(v + (RAMP[from + 1][c] - v) * (place - from)))})`;
}
const like = g => column.like?.[g] ?? g; // a group of references looks as the group of that name does
const shown = i => !hidden.has(code(i)), number = v => Number.isInteger(v) ? String(v) : String(+v.toPrecision(4));
function value(i, c) {
  if (c.texts) return c.texts[i]; // a number as the user wrote it
  return c.kind === "category" ? c.names[c.codes[i]] ?? "" : c.values[i] === null || c.values[i] === undefined ? "" : String(c.values[i]);
}
const told = (i, c) => c.kind === "number" && !c.texts ? number(c.values[i]) : value(i, c);
function el(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Marks: one small picture a group, drawn once. References are hollow.
function mark(g, reference, radius = 4) {
  const key = g * 64 + radius * 2 + reference;
  if (markers.has(key)) return markers.get(key);
  const ratio = devicePixelRatio, side = 2 * radius + 4, made = el("canvas", {width: side * ratio, height: side * ratio});
  const p = made.getContext("2d"), m = side / 2, shape = column.kind === "category" && g >= 0 ? like(g) % SHAPES : 0, r = radius * [1, .88, 1.15, 1.2][shape];
  made.style.width = made.style.height = side + "px";
  p.scale(ratio, ratio);
  if (shape === 0) p.arc(m, m, r, 0, 7);
  else if (shape === 1) p.rect(m - r, m - r, 2 * r, 2 * r);
  else for (const [x, y] of shape === 2 ? [[0, -r], [r, r * .8], [-r, r * .8]] : [[0, -r], [r, 0], [0, r], [-r, 0]]) p.lineTo(m + x, m + y);
  p.closePath();
  [p.fillStyle, p.strokeStyle, p.lineWidth] = reference ? ["#fff", colour(g), 1.6] : [colour(g), "#fff", .8];
  p.fill(); p.stroke();
  markers.set(key, made);
  return made;
}
function tile(p, i, x, y, side) { // photograph i in a square at x, y; false while its sprite is being decoded
  const [w, h] = D.sizes[i], place = i % (D.across * D.across), sprite = sprites[(i - place) / (D.across * D.across)], f = side / D.tile;
  if (!sprite || !w) return false;
  const left = place % D.across * D.tile, top = Math.floor(place / D.across) * D.tile;
  p.drawImage(sprite, left, top, w, h, x + (side - w * f) / 2, y + (side - h * f) / 2, w * f, h * f);
  return true;
}
function picture(i, side) {
  const ratio = devicePixelRatio, made = el("canvas", {width: side * ratio, height: side * ratio}), p = made.getContext("2d");
  made.style.width = made.style.height = side + "px";
  p.scale(ratio, ratio);
  if (i >= P || !tile(p, i, 0, 0, side)) p.drawImage(mark(code(i), i >= P, 4), side / 2 - 6, side / 2 - 6, 12, 12);
  return made;
}
function workButton(i, side = 56) {
  const made = el("button", {type: "button", className: "work", title: D.names[i], onclick: () => { show(i); reveal(i); }}, picture(i, side));
  made.setAttribute("aria-label", D.names[i]);
  return made;
}

const sx = i => (layout.x[i] - view.x) * view.k + width / 2, sy = i => (layout.y[i] - view.y) * view.k + height / 2;
function redraw() { if (!dirty) { dirty = true; requestAnimationFrame(() => { dirty = false; draw(); remember(); }); } }
function draw() {
  const ratio = devicePixelRatio;
  [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  }
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  if (layout.axes) drawAxes();
  if ($("contours").checked && column.kind === "category" && layout.axes !== undefined) drawContours();
  drawWorks();
  if (at >= P || (at >= 0 && !pictureSide())) { pen.strokeStyle = "#000"; pen.lineWidth = 2; pen.beginPath(); pen.arc(sx(at), sy(at), 9, 0, 7); pen.stroke(); }
  if (column.kind === "category") drawNames();
  if (lasso) {
    pen.beginPath();
    for (const [x, y] of lasso) pen.lineTo(x, y);
    [pen.strokeStyle, pen.fillStyle, pen.lineWidth] = ["#00527a", "#0072b222", 2];
    pen.closePath(); pen.fill(); pen.stroke();
  }
}
// All works are painted on a layer somewhat larger than the map, which is moved and stretched until the user rests: thousands
// of marks and pictures then cost no more than one.
function drawWorks() {
  const key = [layout.name, column.name, pictureSide() === 0, $("size").value, [...hidden], at, stamp, width, height, devicePixelRatio].join();
  const near = Math.abs(layer.x - view.x) * view.k < width * ROOM && Math.abs(layer.y - view.y) * view.k < height * ROOM;
  if (layer.key !== key || ((layer.k !== view.k || !near) && performance.now() - moved > REST)) paintLayer(key);
  else if (layer.k !== view.k || !near) setTimeout(redraw, REST);
  const f = view.k / layer.k, w = layer.w * f, h = layer.h * f, snap = f === 1 ? v => Math.round(v * devicePixelRatio) / devicePixelRatio : v => v;
  pen.drawImage(layer.canvas, snap((layer.x - view.x) * view.k + width / 2 - w / 2), snap((layer.y - view.y) * view.k + height / 2 - h / 2), w, h);
}
function paintLayer(key) {
  const ratio = devicePixelRatio, whole = v => Math.round(v * (1 + 2 * ROOM) * ratio), pen = layer.canvas.getContext("2d");
  [layer.canvas.width, layer.canvas.height] = [whole(width), whole(height)]; // empties it, too
  const w = layer.canvas.width / ratio, h = layer.canvas.height / ratio;
  Object.assign(layer, {key, w, h, x: view.x, y: view.y, k: view.k});
  pen.scale(ratio, ratio);
  const sx = i => (layout.x[i] - view.x) * view.k + w / 2, sy = i => (layout.y[i] - view.y) * view.k + h / 2;
  const side = pictureSide(), placed = side ? place(side) : [], covered = new Set(placed);
  for (const strong of chosen.size ? [false, true] : [true]) {
    pen.globalAlpha = strong ? 1 : .25;
    for (let i = N - 1; i >= 0; i--) {
      if (covered.has(i) || !shown(i) || (chosen.size && chosen.has(i) !== strong)) continue;
      const x = sx(i), y = sy(i);
      if (x > -9 && y > -9 && x < w + 9 && y < h + 9) pen.drawImage(mark(code(i), i >= P), x - 6, y - 6, 12, 12);
    }
    for (const i of placed) {
      const x = sx(i), y = sy(i), f = side / D.tile, [wide, high] = D.sizes[i].map(v => v * f);
      if ((chosen.size && chosen.has(i) !== strong) || x < -side || y < -side || x > w + side || y > h + side) continue;
      pen.fillStyle = i === at ? "#000" : colour(code(i));
      const edge = i === at ? 4 : side < 24 ? 1 : 2;
      pen.fillRect(x - wide / 2 - edge, y - high / 2 - edge, wide + 2 * edge, high + 2 * edge);
      if (!tile(pen, i, x - side / 2, y - side / 2, side)) { pen.fillStyle = "#ececea"; pen.fillRect(x - wide / 2, y - high / 2, wide, high); }
    }
  }
}
// In the grid pictures fill their places, elsewhere they are as large as the user wants; 0: marks alone.
function pictureSide() {
  const side = layout.cell ? Math.min(layout.cell * view.k * .88, 2 * D.tile) : +$("size").value;
  return side < 5 ? 0 : side;
}
// Which works have room for their picture: none overlaps another, whatever part of the map is in view.
function place(side) {
  const key = [layout.name, column.name, view.k, side, [...hidden], at, stamp].join();
  if (kept.key === key) return kept.placed;
  const cells = new Map(), placed = [], step = side * 1.08 / view.k;
  for (const i of [...(at >= 0 && at < P ? [at] : []), ...order.filter(i => chosen.has(i)), ...order]) {
    if (!shown(i) || !D.sizes[i][0]) continue;
    const column = Math.floor(layout.x[i] / step), row = Math.floor(layout.y[i] / step);
    let free = true;
    for (let c = column - 1; free && c <= column + 1; c++) for (let r = row - 1; free && r <= row + 1; r++) {
      for (const j of cells.get(c * 1e6 + r) ?? []) {
        if (Math.abs(layout.x[i] - layout.x[j]) < step && Math.abs(layout.y[i] - layout.y[j]) < step) { free = false; break; }
      }
    }
    if (!free) continue;
    const cell = column * 1e6 + row;
    cells.has(cell) ? cells.get(cell).push(i) : cells.set(cell, [i]);
    placed.push(i);
  }
  kept = {key, placed};
  return placed;
}
// The same order every time, and none that the files have.
const order = Array.from({length: P}, (_, i) => i).sort((a, b) => (Math.imul(a + 1, 2654435761) >>> 0) - (Math.imul(b + 1, 2654435761) >>> 0));
function drawAxes() {
  const step = 90 / view.k / layout.scale, power = 10 ** Math.floor(Math.log10(step)), every = power * [1, 2, 5, 10].find(m => m * power >= step);
  [pen.font, pen.fillStyle, pen.strokeStyle, pen.lineWidth] = ["12px system-ui, sans-serif", "#5f5b55", "#e6e2d9", 1];
  const x = v => ((v - layout.left) * layout.scale - view.x) * view.k + width / 2, y = v => ((layout.high - v) * layout.scale - view.y) * view.k + height / 2;
  const first = (v) => Math.ceil(v / every), left = (view.x - width / 2 / view.k) / layout.scale + layout.left;
  const low = layout.high - (view.y + height / 2 / view.k) / layout.scale;
  for (let n = first(left); x(n * every) < width; n++) { line([[x(n * every), 0], [x(n * every), height]]); pen.fillText(number(n * every), x(n * every) + 3, height - 32); }
  for (let n = first(low); y(n * every) > 0; n++) { line([[0, y(n * every)], [width, y(n * every)]]); pen.fillText(number(n * every), 4, y(n * every) - 3); }
  pen.textAlign = "right"; pen.fillText(layout.axes[0], width - 6, height - 46); pen.fillText(layout.axes[1] + " ↑", width - 6, 18); pen.textAlign = "left";
  pen.setLineDash([6, 5]); pen.strokeStyle = "#8a857c";
  for (const [[cx, cy], [rx, ry], name] of layout === layouts[0] ? D.ellipses : []) {
    pen.beginPath(); pen.ellipse(x(cx), y(cy), rx * layout.scale * view.k, ry * layout.scale * view.k, 0, 0, 7); pen.stroke();
    pen.fillText(name, x(cx) + 4, y(cy + ry) - 4);
  }
  pen.setLineDash([]);
}
function line(points) { pen.beginPath(); for (const [x, y] of points) pen.lineTo(x, y); pen.stroke(); }
const members = () => column.members ??= column.names.map((_, g) => column.codes.flatMap((c, i) => c === g ? [i] : []));
function drawNames() {
  if (column.names.length > 30) return;
  [pen.font, pen.textAlign, pen.lineJoin, pen.lineWidth, pen.strokeStyle] = ["600 14px system-ui, sans-serif", "center", "round", 4, "#fffe"];
  members().forEach((group, g) => {
    if (hidden.has(g) || !group.length || (like(g) !== g && !hidden.has(like(g)))) return;
    const middle = values => values.sort((a, b) => a - b)[values.length >> 1];
    const spots = layout.spots ??= {}, spot = spots[`${column.name}\n${g}`] ??= layout.x0 ? [layout.x0[g], layout.y0[g]] : [middle(group.map(i => layout.x[i])), middle(group.map(i => layout.y[i]))];
    const x = (spot[0] - view.x) * view.k + width / 2, y = (spot[1] - view.y) * view.k + height / 2;
    pen.strokeText(column.names[g], x, y); pen.fillStyle = "#1d1c1a"; pen.fillText(column.names[g], x, y);
  });
  pen.textAlign = "left";
}
function drawContours() {
  const all = lines[`${layout.name}\n${column.name}`] ??= members().map(contour);
  all.forEach((levels, g) => {
    if (hidden.has(g)) return;
    pen.strokeStyle = colour(g);
    levels.forEach((segments, level) => {
      pen.lineWidth = level ? 1.2 : 2.2;
      pen.beginPath();
      for (let s = 0; s < segments.length; s += 4) {
        pen.moveTo((segments[s] - view.x) * view.k + width / 2, (segments[s + 1] - view.y) * view.k + height / 2);
        pen.lineTo((segments[s + 2] - view.x) * view.k + width / 2, (segments[s + 3] - view.y) * view.k + height / 2);
      }
      pen.stroke();
    });
  });
}
// Regions of highest density (Hyndman 1996) that hold 50 % and 90 % of a group, by a Gaussian kernel of Scott's width (1992).
function contour(group) {
  if (group.length < 8) return [];
  const G = 96, axes = [layout.x, layout.y].map(all => {
    const v = group.map(i => all[i]), mean = v.reduce((a, b) => a + b) / v.length, [low, high] = ends(v);
    const h = (Math.sqrt(v.reduce((s, x) => s + (x - mean) ** 2, 0) / v.length) || 1) * v.length ** (-1 / 6), cell = (high - low + 6 * h) / (G - 1);
    return {v: v.map(x => (x - low + 3 * h) / cell), low: low - 3 * h, cell, sigma: h / cell};
  });
  let grid = new Float64Array(G * G);
  const [ax, ay] = axes, at = n => Math.round(ay.v[n]) * G + Math.round(ax.v[n]);
  group.forEach((_, n) => grid[at(n)]++);
  for (const [{sigma}, step, other] of [[ax, 1, G], [ay, G, 1]]) {
    const out = new Float64Array(G * G), reach = Math.ceil(3 * sigma), kernel = Array.from({length: reach + 1}, (_, d) => Math.exp(-d * d / 2 / sigma / sigma));
    for (let a = 0; a < G; a++) for (let b = 0; b < G; b++) {
      const v = grid[a * step + b * other];
      if (v) for (let d = Math.max(-reach, -a); d <= Math.min(reach, G - 1 - a); d++) out[(a + d) * step + b * other] += v * kernel[Math.abs(d)];
    }
    grid = out;
  }
  const heights = group.map((_, n) => grid[at(n)]).sort((a, b) => b - a);
  return [.5, .9].map(share => {
    const level = heights[Math.min(heights.length - 1, Math.floor(share * heights.length))] * .9999, segments = [];
    for (let r = 0; r < G - 1; r++) for (let c = 0; c < G - 1; c++) { // marching squares: each crossed cell has two or four crossings
      const corners = [[c, r], [c + 1, r], [c + 1, r + 1], [c, r + 1]], cuts = [];
      corners.forEach(([x, y], e) => {
        const [u, v] = corners[(e + 1) % 4], a = grid[y * G + x] - level, b = grid[v * G + u] - level;
        if (a > 0 !== b > 0) cuts.push(ax.low + (x + (u - x) * a / (a - b)) * ax.cell, ay.low + (y + (v - y) * a / (a - b)) * ay.cell);
      });
      segments.push(...cuts);
    }
    return segments;
  });
}
function makeGrid(l) { // a block for each group, blocks in rows as wide as all are high
  const groups = column.kind === "category" ? [...members(), column.codes.flatMap((c, i) => c < 0 ? [i] : [])]
    : [Array.from({length: N}, (_, i) => i).sort((a, b) => (column.values[a] ?? Infinity) - (column.values[b] ?? Infinity))];
  const total = Math.sqrt(N) * 1.5;
  let left = 0, top = 0, tallest = 0;
  Object.assign(l, {x: [], y: [], x0: [], y0: [], spots: {}});
  for (const group of groups) {
    const across = Math.max(1, Math.ceil(Math.sqrt(group.length * 1.2))), down = Math.ceil(group.length / across);
    if (left && left + across > total) { left = 0; top += tallest + 1.6; tallest = 0; }
    l.x0.push(left + across / 2 - .5); l.y0.push(top - .6);
    group.forEach((i, n) => { l.x[i] = left + n % across; l.y[i] = top + Math.floor(n / across); });
    left += across + .8; tallest = Math.max(tallest, down);
  }
  const scale = SPAN / Math.max(ends(l.x)[1], ends(l.y)[1], 1);
  for (const values of [l.x, l.y, l.x0, l.y0]) values.forEach((v, i) => { values[i] = v * scale; });
  l.cell = scale;
}
function fit(only) {
  const group = only ?? Array.from({length: N}, (_, i) => i), [left, right] = ends(group.map(i => layout.x[i])), [low, high] = ends(group.map(i => layout.y[i]));
  const margin = 110;
  [width, height] = [canvas.clientWidth, canvas.clientHeight];
  Object.assign(view, {x: (left + right) / 2, y: (low + high) / 2});
  view.k = Math.min((width - margin) / (right - left || 1), (height - margin) / (high - low || 1), only ? 60 : Infinity);
  redraw();
}
function zoom(factor, x = width / 2, y = height / 2) {
  const k = Math.min(Math.max(view.k * factor, .05), 5000), shift = 1 / view.k - 1 / k;
  view.x += (x - width / 2) * shift; view.y += (y - height / 2) * shift; view.k = k; moved = performance.now();
  redraw();
}
function reveal(i) {
  if (Math.abs(sx(i) - width / 2) > width / 2 - 40 || Math.abs(sy(i) - height / 2) > height / 2 - 40) { view.x = layout.x[i]; view.y = layout.y[i]; }
  redraw();
}
function hit(x, y) {
  const side = pictureSide(), f = side / D.tile / 2;
  for (const i of side ? place(side) : []) if (Math.abs(sx(i) - x) <= D.sizes[i][0] * f && Math.abs(sy(i) - y) <= D.sizes[i][1] * f) return i;
  return closest(x, y, 10);
}
function closest(x, y, within) {
  let best = -1;
  for (let i = 0; i < N; i++) {
    if (!shown(i)) continue;
    const d = Math.hypot(sx(i) - x, sy(i) - y);
    if (d < within) { within = d; best = i; }
  }
  return best;
}
