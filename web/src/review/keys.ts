import { useEffect, useRef } from "preact/hooks";

/** What keys do, by `event.key` with "Ctrl+" before it; not while something is typed, nor where a control takes the key itself. */
export type Keys = Record<string, () => void>;

const TYPED = "input:not([type=range], [type=checkbox], [type=radio]), textarea, select";
const PRESSED = "button, a, summary, input";

export function useKeys(keys: Keys, on = true): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    if (!on) return;
    const press = (event: KeyboardEvent) => {
      const at = event.target as Element;
      if (event.altKey || at.closest(TYPED) || document.querySelector("dialog[open]")) return;
      if ((event.key === " " || event.key === "Enter") && at.closest(PRESSED)) return;
      const name = `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${event.key.length === 1 ? event.key.toLowerCase() : event.key}`;
      // With Shift a digit's key may be a sign.
      const digit = event.shiftKey && /^Digit\d$/.test(event.code) ? `Shift+${event.code.slice(5)}` : "";
      const action = (digit && latest.current[digit]) || latest.current[event.shiftKey ? `Shift+${name}` : name] || latest.current[name];
      if (!action) return;
      event.preventDefault();
      action();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [on]);
}
