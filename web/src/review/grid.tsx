import type { ComponentChildren, VNode } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

const LEAST = 176; // pixels of a cell's width
const BELOW = 58; // of a cell's height, for its text
const MORE = 2; // rows that are there before they are seen

interface Props {
  /** Numbers of the photographs, in the order shown. */
  order: number[];
  /** Which of them is the current one, a place in `order`. */
  current: number;
  label: string;
  cell: (index: number) => ComponentChildren;
  /** What a cell is made of, beside its place: it is drawn anew only when that is another. */
  made: (index: number) => unknown;
  name: (index: number) => string;
  onCurrent: (place: number) => void;
  onOpen: (place: number) => void;
}

/** All photographs of a set, of which only those in view are in the document. */
export function Grid({ order, current, label, cell, made, name, onCurrent, onOpen }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const [top, setTop] = useState(0);

  useLayoutEffect(() => {
    const element = box.current!;
    const measure = () => setSize({ width: element.clientWidth, height: element.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    return () => observer.disconnect();
  }, []);

  const columns = Math.max(2, Math.floor(size.width / LEAST));
  const width = size.width / columns;
  const height = Math.round(width * 0.8) + BELOW;
  const rows = Math.ceil(order.length / columns);
  const first = Math.max(0, Math.floor(top / height) - MORE);
  const last = Math.min(rows, Math.ceil((top + size.height) / height) + MORE);

  useEffect(() => {
    const element = box.current!;
    const row = Math.floor(current / columns);
    if (row * height < element.scrollTop) element.scrollTop = row * height;
    if ((row + 1) * height > element.scrollTop + element.clientHeight) element.scrollTop = (row + 1) * height - element.clientHeight;
  }, [current, columns, height]);

  const scrolled = () => {
    // Drawn anew only when another row comes into view.
    const now = box.current!.scrollTop;
    if (Math.floor(now / height) !== Math.floor(top / height)) setTop(now);
  };

  const key = (event: KeyboardEvent) => {
    const steps: Record<string, number> = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: columns,
      ArrowUp: -columns,
      PageDown: columns * Math.max(1, Math.floor(size.height / height)),
      PageUp: -columns * Math.max(1, Math.floor(size.height / height)),
      Home: -order.length,
      End: order.length,
    };
    const step = steps[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (step !== undefined) {
      event.preventDefault();
      onCurrent(Math.min(order.length - 1, Math.max(0, current + step)));
    } else if (event.key === "Enter") {
      event.preventDefault();
      onOpen(current);
    }
  };

  const open = useRef(onOpen);
  open.current = onOpen;
  // Preact passes over a part that is the same object as before: of a scrolled grid, all but one row.
  const drawn = useRef(new Map<number, { of: string; made: unknown; node: VNode }>());
  const former = drawn.current;
  drawn.current = new Map();
  const cells = [];
  for (let place = first * columns; place < Math.min(order.length, last * columns); place += 1) {
    const index = order[place]!;
    const of = `${place} ${width} ${height} ${order.length} ${place === current}`;
    const before = former.get(index);
    if (before && before.of === of && before.made === made(index)) {
      drawn.current.set(index, before);
      cells.push(before.node);
      continue;
    }
    const node = (
      <div
        key={index}
        id={`photograph-${index}`}
        role="option"
        aria-label={name(index)}
        aria-selected={place === current}
        aria-posinset={place + 1}
        aria-setsize={order.length}
        class="cell"
        style={{
          width: `${width}px`,
          height: `${height}px`,
          transform: `translate(${(place % columns) * width}px, ${Math.floor(place / columns) * height}px)`,
        }}
        onClick={() => open.current(place)}
      >
        {cell(index)}
      </div>
    );
    drawn.current.set(index, { of, made: made(index), node });
    cells.push(node);
  }
  return (
    <div
      ref={box}
      class="grid"
      role="listbox"
      aria-label={label}
      aria-activedescendant={order[current] === undefined ? undefined : `photograph-${order[current]}`}
      tabIndex={0}
      onScroll={scrolled}
      onKeyDown={key}
    >
      <div class="rows" role="presentation" style={{ height: `${rows * height}px` }}>
        {cells}
      </div>
    </div>
  );
}
