"use strict";
// Marks are kept by this browser, under the sheet's place, and saved as a list of names; the slider makes all pictures larger.
const key = `maquette marks ${location.pathname}`;
const boxes = [...document.querySelectorAll("input[data-name]")];
let marked = new Set();
try { marked = new Set(JSON.parse(localStorage.getItem(key) ?? "[]")); } catch { /* a browser that keeps nothing */ }
function told() {
  document.getElementById("marked").textContent = `${marked.size} marked`;
  document.getElementById("save").disabled = !marked.size;
}
for (const box of boxes) {
  box.checked = marked.has(box.dataset.name);
  box.onchange = () => {
    box.checked ? marked.add(box.dataset.name) : marked.delete(box.dataset.name);
    try { localStorage.setItem(key, JSON.stringify([...marked])); } catch { /* as above */ }
    told();
  };
}
document.getElementById("zoom").oninput = event => document.documentElement.style.setProperty("--side", `${event.target.value}px`);
document.getElementById("save").onclick = () => {
  const names = boxes.map(box => box.dataset.name).filter(name => marked.has(name));
  const address = URL.createObjectURL(new Blob(names.map(name => `${name}\n`), {type: "text/plain"}));
  Object.assign(document.createElement("a"), {href: address, download: "marked.txt"}).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
};
document.getElementById("tools").hidden = false;
told();
