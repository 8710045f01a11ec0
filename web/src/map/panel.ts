/** What stands beside the map: the legend, the work that was pressed, the selection and what it is saved as. */
import { $, ALL, code, D, el, members, N, number, P, ramp, state, told, value } from "./data";
import { fit, mark, redraw, reveal } from "./scene";
import { picture } from "./tiles";

const { chosen, hidden } = state;
const button = (name: string, onclick: (event: MouseEvent) => void): HTMLButtonElement => el("button", { type: "button", onclick }, name);

export function workButton(i: number, side = 56): HTMLButtonElement {
  const made = el("button", { type: "button", className: "work", title: D.names[i]!, onclick: () => { show(i); reveal(i); } });
  made.append(i < P ? picture(i, side) : mark(code(i), true));
  made.setAttribute("aria-label", D.names[i]!);
  return made;
}

export function legend(): void {
  const box = $("legend");
  const counts = new Map<number, number>();
  for (let i = 0; i < N; i++) counts.set(code(i), (counts.get(code(i)) ?? 0) + 1);
  box.replaceChildren();
  const { column } = state;
  if (column.kind === "number") {
    const bar = el("div", { className: "ramp" });
    bar.style.background = ramp();
    box.append(bar, el("div", { className: "ends" }, el("span", {}, number(column.low!)), el("span", {}, number(column.high!))));
  }
  const names: [number, string][] = column.kind === "category" ? column.names!.map((name, g) => [g, name]) : [];
  for (const [g, name] of counts.has(-1) ? [...names, [-1, "no value"] as [number, string]] : names) {
    const group = button("", () => {
      hidden.has(g) ? hidden.delete(g) : hidden.add(g);
      group.setAttribute("aria-pressed", String(!hidden.has(g)));
      state.stamp++;
      redraw();
    });
    Object.assign(group, { className: "group", title: "Hide or show" });
    group.append(mark(g, g >= 0 && members()[g]!.every((i) => i >= P)), el("span", {}, name), el("span", { className: "count" }, String(counts.get(g) ?? 0)));
    group.setAttribute("aria-pressed", String(!hidden.has(g)));
    const pick = button("select", (event) => choose(ALL.filter((i) => code(i) === g), event.shiftKey));
    pick.className = "pick";
    pick.setAttribute("aria-label", `Select ${name}`);
    box.append(el("div", { className: "entry" }, group, pick));
  }
}

export function show(i: number): void {
  state.at = i;
  const box = $("detail");
  box.replaceChildren();
  $("tap").hidden = true;
  if (i >= 0) {
    const heading = el("h2", {}, D.names[i]!);
    const list = el("dl");
    const fill = (): void => {
      list.replaceChildren();
      for (const c of D.columns) if (value(i, c) !== "") list.append(el("dt", {}, c.name), el("dd", {}, told(i, c)));
    };
    fill();
    if (i < P) {
      // The photograph itself, where the page still lies beside it; the thumbnail stays where it does not.
      const small = picture(i, Math.min(240, Math.max(D.tile, 120)));
      const large = el("img", { alt: "", src: D.links[i]!, onload: () => small.replaceWith(large) });
      const open = el("a", { href: D.links[i]!, target: "_blank", rel: "noopener" }, "Open the photograph");
      box.append(small, heading, el("p", {}, open));
    } else box.append(heading);
    if (D.views[i]?.length) {
      const views = D.views[i]!.map(([name, link]) => el("li", {}, el("a", { href: link, target: "_blank", rel: "noopener" }, name)));
      box.append(el("h3", {}, "Further photographs of it"), el("ul", {}, ...views));
    }
    const exact = button("Exact values", () => {
      state.exact = !state.exact;
      exact.setAttribute("aria-pressed", String(state.exact));
      fill();
    });
    exact.setAttribute("aria-pressed", String(state.exact));
    box.append(list);
    if (D.near[i]?.length) box.append(el("h3", {}, "Nearest in this collection"), el("div", { className: "works" }, ...D.near[i]!.map((j) => workButton(j))));
    box.append(el("div", { className: "buttons" }, exact, button("Close", () => show(-1))));
  }
  redraw();
}

/** On a small screen: the work in a few words where the finger was; the rest is below the map. */
export function tap(i: number, x: number, y: number): void {
  const box = $("tap");
  box.hidden = i < 0;
  if (i < 0) return;
  const more = button("All of it", () => $("detail").scrollIntoView({ block: "start" }));
  const close = button("×", () => show(-1));
  close.setAttribute("aria-label", "Close");
  box.replaceChildren(...glance(i), el("div", { className: "buttons" }, more, close));
  beside(box, x, y);
}
export function glance(i: number): Node[] {
  const facts = D.columns.filter((c) => c.kind !== "text" && value(i, c) !== "").slice(0, 4).map((c) => `${c.name} ${told(i, c)}`);
  return [...(i < P ? [picture(i, Math.min(160, 2 * D.tile))] : []), el("strong", {}, D.names[i]!), el("div", {}, facts.join(" · "))];
}
export function beside(box: HTMLElement, x: number, y: number): void {
  box.style.left = `${Math.max(4, Math.min(x + 16, state.width - box.offsetWidth - 4))}px`;
  box.style.top = `${Math.max(4, Math.min(y + 16, state.height - box.offsetHeight - 4))}px`;
}

export function choose(works: Iterable<number>, more = false): void {
  state.stamp++;
  const wanted = [...works];
  if (!more) chosen.clear();
  for (const i of wanted) chosen.add(i);
  const box = $("selection");
  const list = [...chosen].sort((a, b) => a - b);
  const pictures = list.slice(0, 60);
  box.replaceChildren();
  if (list.length) {
    const buttons = el(
      "div", { className: "buttons" },
      button("Save as CSV", () => save("selection.csv", "text/csv", table(list))),
      button("Save as JSON", () => save("selection.json", "application/json", records(list))),
      button("Save the names", () => save("selection.txt", "text/plain", list.map((i) => `${D.names[i]}\n`).join(""))),
      button("Zoom to them", () => fit(list)),
      button("Clear", () => choose([])),
    );
    box.append(el("h2", {}, `${list.length} selected`), buttons);
    const { column } = state;
    if (column.kind === "category") {
      const counts = new Map<number, number>();
      for (const i of list) counts.set(code(i), (counts.get(code(i)) ?? 0) + 1);
      const shares = el("dl");
      for (const [g, n] of [...counts].sort((a, b) => b[1] - a[1]).slice(0, 12)) {
        shares.append(el("dt", {}, column.names![g] ?? "no value"), el("dd", {}, `${n} (${Math.round((n / list.length) * 100)} %)`));
      }
      box.append(shares);
    }
    box.append(el("div", { className: "works" }, ...pictures.map((i) => workButton(i, 48))));
    if (pictures.length < list.length) box.append(el("p", {}, `and ${list.length - pictures.length} more`));
  }
  redraw();
}

/** RFC 4180; the byte order mark tells Excel that it is UTF-8, and an apostrophe that a text is no formula. */
function table(works: number[]): string {
  const cell = (v: string): string => (/[",\r\n]/.test(v) ? `"${v.replaceAll('"', '""')}"` : v);
  const plain = (v: string): string => (/^[=+\-@\t\r]/.test(v) ? `'${v}` : v);
  const rows = [
    ["work", ...D.columns.map((c) => c.name)].map(plain),
    ...works.map((i) => [plain(D.names[i]!), ...D.columns.map((c) => (c.kind === "number" ? value(i, c) : plain(value(i, c))))]),
  ];
  return `\ufeff${rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("")}`;
}
/** An object for each work; what it has no value for is left out. */
function records(works: number[]): string {
  const one = (i: number): object => {
    const given = D.columns.filter((c) => value(i, c) !== "").map((c) => [c.name, c.kind === "number" && !c.texts ? c.values![i] : value(i, c)]);
    return { work: D.names[i], ...Object.fromEntries(given) };
  };
  return `${JSON.stringify(works.map(one), null, 1)}\n`;
}
function save(name: string, type: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type }));
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
