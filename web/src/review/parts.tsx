import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { MaskItem } from "./api";

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}

/** A question before the page goes on; Esc closes it. */
export function Dialog({ title, onClose, children }: DialogProps) {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    box.current!.showModal();
    return () => before?.focus();
  }, []);
  return (
    <dialog ref={box} aria-labelledby="dialog-title" class="card" onClose={onClose}>
      <h2 id="dialog-title">{title}</h2>
      {children}
    </dialog>
  );
}

interface Choice {
  id: string;
  label: string;
  count?: number;
}

/** One of several views; a group of buttons of which one is pressed. */
export function Choices({
  label,
  choices,
  chosen,
  onChoose,
}: {
  label: string;
  choices: Choice[];
  chosen: string;
  onChoose: (id: string) => void;
}) {
  return (
    <div class="choices" role="group" aria-label={label}>
      {choices.map(({ id, label: text, count }) => (
        <button key={id} type="button" aria-pressed={id === chosen} onClick={() => onChoose(id)}>
          {text}
          {count === undefined ? null : <span class="count number"> {count.toLocaleString("en")}</span>}
        </button>
      ))}
    </div>
  );
}

/** A button with the key that does the same. */
export function Press({
  hint,
  children,
  ...given
}: {
  hint: string;
  children: ComponentChildren;
  onClick: () => void;
  disabled?: boolean;
  pressed?: boolean;
  class?: string;
}) {
  return (
    <button type="button" class={given.class} disabled={given.disabled ?? false} aria-pressed={given.pressed} onClick={given.onClick}>
      {children} <kbd aria-hidden="true">{hint}</kbd>
    </button>
  );
}

/** The table of keys. */
export function Keys({ keys, onClose }: { keys: [string, string][]; onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl class="keys">
        {keys.map(([key, what]) => (
          <>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </>
        ))}
      </dl>
      <button type="button" class="first" onClick={onClose}>
        Close
      </button>
    </Dialog>
  );
}

/** Pictures that cannot be shown say so. */
export function Thumbnail({ address }: { address: string }) {
  return (
    <img
      class="thumbnail"
      src={address}
      alt=""
      decoding="async"
      draggable={false}
      onError={(event) => event.currentTarget.classList.add("missing")}
    />
  );
}

export const short = (name: string) => name.slice(name.lastIndexOf("/") + 1);
export const percent = (share: number) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

/** Its last change was made by "apply to the rest". */
export const changed = (item: MaskItem) => item.why.startsWith("rest ");
