import { useEffect, useRef, useState } from "preact/hooks";
import { ask, change, photograph, type One, type TypeItem, type TypeSet } from "./api";
import { Browse, type Filter } from "./browse";
import { useKeys } from "./keys";
import { Keys, percent, Press, short, Thumbnail } from "./parts";
import { Stage } from "./stage";

const NOTHING = "-";
const sure = (item: TypeItem) => item.predictions[0]?.[1] ?? -1;
const leastSure = (one: TypeItem, other: TypeItem) => Number(other.abstained) - Number(one.abstained) || sure(one) - sure(other);

/** The types that a person chose, else the first of the proposal. */
const kindOf = (item: TypeItem) => (item.labels.length ? item.labels : item.predictions.slice(0, 1).map(([id]) => id));

const KEYS: [string, string][] = [
  ["J  K", "next and previous photograph"],
  ["Enter", "open it large"],
  ["Esc", "back to all"],
  ["Space", "accept the proposal, and go on"],
  ["1 to 9", "large: this type, and go on; all: the filters"],
  ["Shift 1 to 9", "large: this type too; several are right"],
  ["0", "large: no sculpture, and go on"],
  ["U", "the types before the last choice"],
  ["+  -  Home  arrows", "look nearer, farther, elsewhere"],
];

/** `maquette review --types PHOTOS`. */
export function Types({ set, items, now }: { set: TypeSet; items: TypeItem[]; now: () => void }) {
  const [keys, setKeys] = useState(false);
  const names = new Map([...set.types, [NOTHING, "No sculpture"]]);
  const decided = items.filter((item) => item.labels.length).length;
  const answered = items.filter((item) => item.predictions.length || item.error).length;
  useKeys({ "?": () => setKeys(true) });
  const filters: Filter<TypeItem>[] = [
    { id: "all", label: "All, least sure first", takes: () => true, by: leastSure },
    { id: "undecided", label: "Undecided", takes: (item) => !item.labels.length, by: leastSure },
    { id: "decided", label: "Decided", takes: (item) => item.labels.length > 0, by: leastSure },
    { id: "unsure", label: "Unsure", takes: (item) => item.abstained, by: leastSure },
    {
      id: "other",
      label: "Other than proposed",
      takes: (item) => item.labels.length > 0 && !item.labels.includes(item.predictions[0]?.[0] ?? ""),
      by: leastSure,
    },
    ...set.types
      .filter(([id]) => items.some((item) => kindOf(item).includes(id)))
      .map(([id, label]) => ({ id: `type ${id}`, label, takes: (item: TypeItem) => kindOf(item).includes(id), by: leastSure })),
  ];
  const table = keys ? <Keys keys={KEYS} onClose={() => setKeys(false)} /> : null;
  return (
    <Browse<TypeItem>
      items={items}
      filters={filters}
      epoch={String(set.asking)}
      label="Photographs, least sure type first"
      name={(item) =>
        `${item.name}: ${item.labels.length ? item.labels.map((label) => names.get(label) ?? label).join(" or ") : "undecided"}`
      }
      cell={(item) => <Cell item={item} session={set.session} names={names} />}
      large={(item, where, go, close) => (
        <Large
          set={set}
          item={item}
          where={where}
          go={go}
          close={close}
          now={now}
          names={names}
          onKeys={() => setKeys(true)}
          dialog={table}
        />
      )}
    >
      <header class="head">
        <div>
          <h1>Types of {set.title}</h1>
          <p class="soft small">
            {set.total.toLocaleString("en")} photographs, {decided.toLocaleString("en")} with their type, in <code>{set.folder}</code>
          </p>
        </div>
        <div class="row">
          <button type="button" onClick={() => setKeys(true)}>
            Keys <kbd aria-hidden="true">?</kbd>
          </button>
        </div>
      </header>
      {set.asking ? (
        <label class="progress small">
          Asking for proposals: {answered.toLocaleString("en")} of {set.total.toLocaleString("en")}
          <progress max={set.total} value={answered} />
        </label>
      ) : null}
      {set.sentence ? (
        <section class="rest notice bad" aria-label="Proposals">
          <p role="status">
            {set.sentence} Types can be chosen without proposals{set.types.length ? "" : " once the service has named them"}.
          </p>
          <button type="button" onClick={() => void change("proposals").finally(now)}>
            Ask again
          </button>
        </section>
      ) : null}
      {table}
    </Browse>
  );
}

function Cell({ item, session, names }: { item: TypeItem; session: string; names: Map<string, string> }) {
  const [first] = item.predictions;
  return (
    <div class={`thing ${item.labels.length ? "accepted" : ""}`}>
      <div class="frame">
        <Thumbnail address={`${photograph(item.index)}/thumbnail?s=${session}`} />
        {item.labels.length ? <span class="badge">✓</span> : null}
      </div>
      <div class="words">
        <span class="name">{short(item.name)}</span>
        {item.labels.length ? (
          <strong>{item.labels.map((label) => names.get(label) ?? label).join(" or ")}</strong>
        ) : item.error ? (
          <span class="reason">{item.error}</span>
        ) : (
          <span class={item.abstained ? "reason" : "soft"}>
            {first ? `${names.get(first[0]) ?? first[0]} ${percent(first[1])}${item.abstained ? ", unsure" : ""}` : "no proposal yet"}
          </span>
        )}
      </div>
    </div>
  );
}

interface LargeProps {
  set: TypeSet;
  item: TypeItem;
  where: string;
  go: (by: number) => void;
  close: () => void;
  now: () => void;
  names: Map<string, string>;
  onKeys: () => void;
  dialog: preact.ComponentChildren;
}

function Large({ set, item, where, go, close, now, names, onKeys, dialog }: LargeProps) {
  const [one, setOne] = useState<One<TypeItem> | null>(null);
  const [said, setSaid] = useState("");
  const stage = useRef<HTMLDivElement>(null);
  const undone = useRef<{ index: number; labels: string[] }[]>([]);
  const queue = useRef<Promise<unknown>>(Promise.resolve());
  const fresh = one?.item.index === item.index ? one : null;

  useEffect(() => {
    let over = false;
    ask<One<TypeItem>>(`photographs/${item.index}`)
      .then((found) => !over && setOne(found))
      .catch((error: Error) => !over && setSaid(error.message));
    return () => {
      over = true;
    };
  }, [item.index]);
  useEffect(() => stage.current?.querySelector<HTMLElement>("[role=application]")?.focus(), [fresh === null]);

  const set_ = (index: number, labels: string[]) => {
    queue.current = queue.current.then(async () => {
      try {
        await change(`photographs/${index}/labels`, { labels });
        setSaid("");
      } catch (error) {
        setSaid((error as Error).message);
      }
      now();
    });
  };
  const decide = (labels: string[], on: boolean) => {
    undone.current.push({ index: item.index, labels: item.labels });
    set_(item.index, labels);
    if (on) go(1);
  };
  const choose = (label: string, on: boolean) => decide(!on && item.labels.includes(label) ? [] : [label], on);
  const add = (label: string) =>
    decide(
      item.labels.includes(label)
        ? item.labels.filter((other) => other !== label)
        : [...item.labels.filter((other) => other !== NOTHING), label],
      false,
    );
  const undo = () => {
    const last = undone.current.pop();
    if (last) set_(last.index, last.labels);
  };
  // The numbers stay with their types: fingers learn them.
  const types = set.types.map(([id]) => id);
  const accept = () => item.predictions[0] && decide(item.labels.length ? item.labels : [item.predictions[0][0]], true);
  useKeys({
    Escape: close,
    j: () => go(1),
    k: () => go(-1),
    " ": () => accept(),
    u: undo,
    "Ctrl+z": undo,
    "0": () => choose(NOTHING, true),
    ...Object.fromEntries(
      types.slice(0, 9).flatMap((id, number) => [
        [String(number + 1), () => choose(id, true)],
        [`Shift+${number + 1}`, () => add(id)],
      ]),
    ),
  });
  const shares = new Map(item.predictions);
  return (
    <main class="large">
      <div class="picture" ref={stage}>
        {fresh ? (
          <Stage
            index={item.index}
            shape={fresh}
            session={set.session}
            look=""
            stamp=""
            before={false}
            tool="move"
            brush={1}
            marks={[]}
            label={item.name}
            onMark={() => undefined}
          />
        ) : (
          <p class="empty">{said || "Opening …"}</p>
        )}
      </div>
      <aside class="side" aria-label="This photograph">
        <div class="row between">
          <button type="button" onClick={close}>
            ← All <kbd aria-hidden="true">Esc</kbd>
          </button>
          <span class="soft small number">{where}</span>
          <div class="row tight">
            <button type="button" aria-label="Previous photograph" onClick={() => go(-1)}>
              ‹ <kbd aria-hidden="true">K</kbd>
            </button>
            <button type="button" aria-label="Next photograph" onClick={() => go(1)}>
              › <kbd aria-hidden="true">J</kbd>
            </button>
          </div>
        </div>
        <div>
          <h1 class="file">{short(item.name)}</h1>
          <p class="soft">
            {item.error ||
              (item.abstained
                ? "The model is not sure of this one."
                : item.predictions.length
                  ? "What the model holds it for:"
                  : "No proposal yet.")}
          </p>
        </div>
        <div class="row">
          <Press hint="Space" class="first" disabled={!item.predictions.length} onClick={() => accept()}>
            Accept {item.labels.length ? "and go on" : (names.get(item.predictions[0]?.[0] ?? "") ?? "")}
          </Press>
          <Press hint="U" onClick={undo}>
            Undo
          </Press>
          <button type="button" onClick={onKeys}>
            Keys <kbd aria-hidden="true">?</kbd>
          </button>
        </div>
        <div class="types" role="group" aria-label="Types">
          {[...types, NOTHING].map((id, number) => {
            const share = shares.get(id);
            return (
              <button
                key={id}
                type="button"
                class="type"
                aria-pressed={item.labels.includes(id)}
                onClick={(event) => (event.shiftKey ? add(id) : choose(id, false))}
              >
                <span class="bar" style={{ transform: `scaleX(${share ?? 0})` }} />
                <span class="text">
                  {item.labels.includes(id) ? "✓ " : ""}
                  {names.get(id) ?? id}
                </span>
                <span class="number">{share === undefined ? "" : percent(share)}</span>
                <kbd aria-hidden="true">{id === NOTHING ? 0 : number < 9 ? number + 1 : ""}</kbd>
              </button>
            );
          })}
        </div>
        <p class="soft small">A second type with Shift: then either is right.</p>
        <p class={said && fresh ? "notice bad" : "unseen"} role="status">
          {fresh ? said : ""}
        </p>
      </aside>
      {dialog}
    </main>
  );
}
