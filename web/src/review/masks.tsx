import { useState } from "preact/hooks";
import { change, photograph, type MaskItem, type MaskSet, type Rest } from "./api";
import { Browse, type Filter } from "./browse";
import { useKeys } from "./keys";
import { Large } from "./mask";
import { changed, Dialog, Keys, percent, short, Thumbnail } from "./parts";

const worst = (one: MaskItem, other: MaskItem) => other.rank[0] - one.rank[0] || other.rank[1] - one.rank[1];

const FINDINGS: [string, string][] = [
  ["problem", "No good mask"],
  ["empty", "Empty"],
  ["area", "Area"],
  ["shape", "Shape"],
  ["uncertain", "Uncertain"],
  ["frame", "At the frame"],
];

function filtersOf(items: MaskItem[]): Filter<MaskItem>[] {
  const found = new Set(items.flatMap((item) => item.kinds));
  return [
    { id: "all", label: "All, worst first", takes: () => true, by: worst },
    { id: "undecided", label: "Undecided", takes: (item) => item.verdict === "", by: worst },
    { id: "accepted", label: "Accepted", takes: (item) => item.verdict === "accepted", by: worst },
    { id: "rejected", label: "Rejected", takes: (item) => item.verdict === "rejected", by: worst },
    { id: "persons", label: "Corrected", takes: (item) => item.persons, by: worst },
    ...(items.some(changed)
      ? [{ id: "changed", label: "Made again", takes: changed, by: (one: MaskItem, other: MaskItem) => other.differs - one.differs }]
      : []),
    ...FINDINGS.filter(([kind]) => found.has(kind)).map(([kind, label]) => ({
      id: kind,
      label,
      takes: (item: MaskItem) => item.kinds.includes(kind),
      by: worst,
    })),
  ];
}

const KEYS: [string, string][] = [
  ["J  K", "next and previous photograph"],
  ["Enter", "open it large; with a tool, mark the place of the cross"],
  ["Esc", "back to all"],
  ["Space", "accept, and go on"],
  ["X", "reject, and go on"],
  ["U", "undo, also Ctrl Z"],
  ["R", "redo, also Ctrl Shift Z"],
  ["N", "make it as its neighbours"],
  ["C", "show the mask before its last change"],
  ["1 to 4", "large: outline, tint, cut-out, the photograph alone"],
  ["5 to 9", "large: move, object, background, brush, eraser"],
  ["1 to 9", "all: the filters, in their order"],
  ["Arrows", "all: go; large: move the photograph, or the cross of a tool"],
  ["Shift Enter", "a line from the last place to the cross"],
  ["+  -  Home", "nearer, farther, the whole"],
  ["[  ]", "smaller and larger brush"],
];

/** `maquette review PHOTOS -o MASKS`. */
export function Masks({ set, items, now }: { set: MaskSet; items: MaskItem[]; now: () => void }) {
  const [before, setBefore] = useState(false);
  const [said, setSaid] = useState("");
  const [dialog, setDialog] = useState<"" | "keys" | "rest" | "back">("");
  const rest = set.rest;
  const busy = rest.state === "learning" || rest.state === "making";
  const counts = { accepted: 0, rejected: 0, persons: 0, missing: 0, others: 0 };
  for (const item of items) {
    counts.accepted += Number(item.verdict === "accepted");
    counts.rejected += Number(item.verdict === "rejected");
    counts.persons += Number(item.persons && item.verdict !== "rejected");
    counts.missing += Number(item.measured && !item.mask && item.verdict === "");
    counts.others += Number(!item.persons && item.verdict === "");
  }

  const order = async (path: string, body: object = {}) => {
    try {
      await change(path, body);
      setSaid("");
    } catch (error) {
      setSaid((error as Error).message);
    }
    now();
  };

  useKeys({ "?": () => setDialog("keys"), c: () => setBefore(!before) });

  return (
    <Browse<MaskItem>
      items={items}
      filters={filtersOf(items)}
      epoch={`${set.measured === set.total} ${busy}`}
      label="Photographs, worst mask first"
      name={(item) => `${item.name}${item.verdict ? `, ${item.verdict}` : ""}${item.reasons.length ? `: ${item.reasons.join(", ")}` : ""}`}
      made={String(before)}
      cell={(item) => <Cell item={item} session={set.session} before={before && item.undo > 0} />}
      large={(item, where, go, close) => (
        <Large
          set={set}
          item={item}
          where={where}
          go={go}
          close={close}
          now={now}
          before={before}
          setBefore={setBefore}
          onKeys={() => setDialog("keys")}
          dialog={dialog === "keys" ? <Keys keys={KEYS} onClose={() => setDialog("")} /> : null}
        />
      )}
    >
      <header class="head">
        <div>
          <h1>Masks of {set.title}</h1>
          <p class="soft small">
            {set.total.toLocaleString("en")} photographs, {counts.accepted.toLocaleString("en")} accepted,{" "}
            {counts.rejected.toLocaleString("en")} rejected; masks in <code>{set.folder}</code>
          </p>
        </div>
        <div class="row">
          {counts.missing > 0 && set.measured === set.total ? (
            <button type="button" class={counts.persons ? "" : "first"} disabled={busy} onClick={() => order("rest", { missing: true })}>
              Make {counts.missing.toLocaleString("en")} missing
            </button>
          ) : null}
          <button
            type="button"
            class={counts.persons ? "first" : ""}
            disabled={busy || counts.persons === 0}
            title={counts.persons ? "" : "Correct a mask first"}
            onClick={() => setDialog("rest")}
          >
            Apply to the rest
          </button>
          <button type="button" aria-pressed={before} disabled={!items.some((item) => item.undo)} onClick={() => setBefore(!before)}>
            Before <kbd aria-hidden="true">C</kbd>
          </button>
          <button type="button" onClick={() => setDialog("keys")}>
            Keys <kbd aria-hidden="true">?</kbd>
          </button>
        </div>
      </header>
      {set.measured < set.total ? (
        <label class="progress small">
          Looking at the masks: {set.measured.toLocaleString("en")} of {set.total.toLocaleString("en")}
          <progress max={set.total} value={set.measured} />
        </label>
      ) : null}
      <RestBar rest={rest} onStop={() => order("rest/stop")} onBack={() => setDialog("back")} />
      <p class={said ? "notice bad" : "unseen"} role="status">
        {said}
      </p>
      {dialog === "keys" ? <Keys keys={KEYS} onClose={() => setDialog("")} /> : null}
      {dialog === "rest" ? (
        <Dialog title="Apply to the rest" onClose={() => setDialog("")}>
          <p>
            Maquette learns from the {counts.persons === 1 ? "mask" : `${counts.persons} masks`} that you corrected, and makes{" "}
            {counts.others.toLocaleString("en")} others again. Masks that you corrected, accepted or rejected stay as they are. You can
            compare before and after, and take it back.
          </p>
          <div class="row">
            <button
              type="button"
              class="first"
              onClick={() => {
                setDialog("");
                void order("rest");
              }}
            >
              Learn and make the rest
            </button>
            <button type="button" onClick={() => setDialog("")}>
              Not yet
            </button>
          </div>
        </Dialog>
      ) : null}
      {dialog === "back" ? (
        <Dialog title="Take it back" onClose={() => setDialog("")}>
          <p>
            {rest.changed.toLocaleString("en")} masks become what they were before the last run. Those that you accepted or changed since
            stay.
          </p>
          <div class="row">
            <button
              type="button"
              class="first"
              onClick={() => {
                setDialog("");
                void order("rest/take-back");
              }}
            >
              Take back {rest.changed.toLocaleString("en")} masks
            </button>
            <button type="button" onClick={() => setDialog("")}>
              Keep them
            </button>
          </div>
        </Dialog>
      ) : null}
    </Browse>
  );
}

function RestBar({ rest, onStop, onBack }: { rest: Rest; onStop: () => void; onBack: () => void }) {
  if (rest.state === "idle" && !rest.changed && !rest.sentence) return null;
  const busy = rest.state === "learning" || rest.state === "making";
  const kind = rest.state === "failed" || rest.failed ? "notice bad" : rest.state === "stopped" ? "notice warn" : "notice";
  return (
    <section class={`rest ${kind}`} aria-label="The rest of the set">
      <div>
        <p role="status">
          {rest.state === "learning" ? "Learning from your masks …" : null}
          {rest.state === "making" ? `Making ${rest.done.toLocaleString("en")} of ${rest.total.toLocaleString("en")}. ` : null}
          {rest.sentence || (busy ? "" : "The last run can be taken back.")}
        </p>
        {busy ? (
          <progress aria-label="The rest" {...(rest.state === "making" && rest.total ? { max: rest.total, value: rest.done } : {})} />
        ) : null}
        {rest.errors.length ? (
          <ul class="small">
            {rest.errors.map((error) => (
              <li key={error}>{error}</li>
            ))}
          </ul>
        ) : null}
      </div>
      {busy ? (
        <button type="button" onClick={onStop}>
          Stop
        </button>
      ) : rest.changed ? (
        <button type="button" onClick={onBack}>
          Take back {rest.changed.toLocaleString("en")}
        </button>
      ) : null}
    </section>
  );
}

const thumbnailOf = (item: MaskItem, session: string, before: boolean) =>
  `${photograph(item.index)}/thumbnail?s=${session}&v=${item.stamp}${before ? `&before=${item.undo}` : ""}`;

function Cell({ item, session, before }: { item: MaskItem; session: string; before: boolean }) {
  return (
    <div class={`thing ${item.verdict}`}>
      <div class="frame">
        <Thumbnail address={thumbnailOf(item, session, before)} />
        {item.verdict ? <span class="badge">{item.verdict === "accepted" ? "✓" : "✕"}</span> : null}
        {before ? (
          <span class="corner">before</span>
        ) : item.persons ? (
          <span class="corner">corrected</span>
        ) : changed(item) ? (
          <span class="corner">{item.differs >= 0 ? `${percent(item.differs)} changed` : "made again"}</span>
        ) : null}
      </div>
      <div class="words">
        <span class="name">{short(item.name)}</span>
        <span class={item.reasons.length ? "reason" : "soft"}>
          {item.reasons[0] ?? (item.coverage === null ? "" : `object ${percent(item.coverage)}`)}
        </span>
      </div>
    </div>
  );
}
