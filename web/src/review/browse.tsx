import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Grid } from "./grid";
import { useKeys } from "./keys";
import { Choices } from "./parts";

export interface Filter<Item> {
  id: string;
  label: string;
  takes: (item: Item) => boolean;
  /** Higher comes first. */
  by?: (one: Item, other: Item) => number;
}

interface Props<Item> {
  items: Item[];
  filters: Filter<Item>[];
  /** The order is made anew when this changes, and when another filter is chosen: not while a person goes through it. */
  epoch: string;
  label: string;
  cell: (item: Item) => ComponentChildren;
  /** What a cell is made of beside its item. */
  made?: string;
  name: (item: Item) => string;
  /** The large view of one photograph; `go` moves on by so many. */
  large: (item: Item, where: string, go: (by: number) => void, close: () => void) => ComponentChildren;
  children: ComponentChildren;
}

/** The same object for the same item and words. */
class Parts {
  private readonly known = new WeakMap<object, Map<string, object>>();

  of(item: object | undefined, words: string): unknown {
    if (!item) return null;
    const byWords = this.known.get(item) ?? new Map<string, object>();
    this.known.set(item, byWords);
    const found = byWords.get(words) ?? {};
    byWords.set(words, found);
    return found;
  }
}

/** A set: filters, the grid, and one photograph large. */
export function Browse<Item extends { index: number; name: string }>({
  items,
  filters,
  epoch,
  label,
  cell,
  made = "",
  name,
  large,
  children,
}: Props<Item>) {
  const [chosen, setChosen] = useState(filters[0]!.id);
  const [order, setOrder] = useState<number[]>([]);
  const [place, setPlace] = useState(0);
  const [open, setOpen] = useState(false);
  const grid = useRef<HTMLElement>(null);
  const filter = filters.find(({ id }) => id === chosen) ?? filters[0]!;

  useEffect(() => {
    const at = order[place];
    const sorted = items.filter(filter.takes);
    if (filter.by) sorted.sort(filter.by);
    const made = sorted.map(({ index }) => index);
    setOrder(made);
    setPlace(Math.max(0, at === undefined ? 0 : made.indexOf(at)));
  }, [filter.id, epoch, items.length]);

  // What comes to belong here later stands at the end; nothing moves or leaves while a person goes through it.
  useEffect(() => {
    setOrder((former) => {
      const there = new Set(former);
      const more = items.filter((one) => filter.takes(one) && !there.has(one.index));
      return more.length ? [...former, ...(filter.by ? more.sort(filter.by) : more).map(({ index }) => index)] : former;
    });
  }, [items]);

  const now = Math.min(place, Math.max(0, order.length - 1));
  const parts = useRef(new Parts()).current;
  const item = order[now] === undefined ? undefined : items[order[now]!];
  const go = (by: number) => setPlace(Math.min(order.length - 1, Math.max(0, now + by)));
  const choose = (id: string) => {
    setChosen(id);
    setPlace(0);
  };
  const close = () => {
    setOpen(false);
    requestAnimationFrame(() => grid.current?.querySelector<HTMLElement>("[role=listbox]")?.focus());
  };

  useKeys(
    {
      j: () => go(1),
      k: () => go(-1),
      o: () => order.length && setOpen(true),
      ...Object.fromEntries(filters.slice(0, 9).map(({ id }, number) => [String(number + 1), () => choose(id)])),
    },
    !open,
  );

  if (open && item) return <>{large(item, `${(now + 1).toLocaleString("en")} of ${order.length.toLocaleString("en")}`, go, close)}</>;
  return (
    <main class="browse" ref={grid}>
      {children}
      <Choices
        label="Show"
        chosen={filter.id}
        onChoose={choose}
        choices={filters.map(({ id, label: text, takes }) => ({
          id,
          label: text,
          count: items.reduce((sum, one) => sum + Number(takes(one)), 0),
        }))}
      />
      {order.length === 0 ? (
        <p class="empty soft">No photograph is left here.</p>
      ) : (
        <Grid
          order={order}
          current={now}
          label={label}
          made={(index) => parts.of(items[index], made)}
          cell={(index) => (items[index] ? cell(items[index]) : null)}
          name={(index) => (items[index] ? name(items[index]) : "")}
          onCurrent={setPlace}
          onOpen={(at) => {
            setPlace(at);
            setOpen(true);
          }}
        />
      )}
    </main>
  );
}
