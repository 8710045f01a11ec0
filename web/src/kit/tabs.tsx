import { type ComponentChildren, toChildArray } from "preact";
import { useId, useRef, useState } from "preact/hooks";

/** One of several texts; the arrow keys change between the tabs, as the ARIA practices have it. */
export function Tabs({ label, names, children }: { label: string; names: string[]; children: ComponentChildren }) {
  const [open, setOpen] = useState(0);
  const id = useId();
  const list = useRef<HTMLDivElement>(null);
  const panels = toChildArray(children);
  function go(event: KeyboardEvent) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = (open + step + names.length) % names.length;
    setOpen(next);
    list.current?.querySelectorAll("button")[next]?.focus();
    event.preventDefault();
  }
  return (
    <>
      <div class="row" role="tablist" aria-label={label} ref={list} onKeyDown={go}>
        {names.map((name, index) => (
          <button
            type="button"
            role="tab"
            key={name}
            id={`${id}t${index}`}
            aria-selected={index === open}
            aria-controls={`${id}p`}
            tabIndex={index === open ? 0 : -1}
            onClick={() => setOpen(index)}
          >
            {name}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${id}p`} aria-labelledby={`${id}t${open}`}>{panels[open]}</div>
    </>
  );
}
