import { useEffect, useRef, useState } from "preact/hooks";
import { ask, change, photograph, Refused, type Mark, type MaskItem, type MaskSet, type One, type Rest, type Verdict } from "./api";
import { Browse, type Filter } from "./browse";
import { useKeys } from "./keys";
import { Choices, Dialog, Keys, percent, Press, short, Thumbnail } from "./parts";
import { Stage, type Tool } from "./stage";

const worst = (one: MaskItem, other: MaskItem) => other.rank[0] - one.rank[0] || other.rank[1] - one.rank[1];
const changed = (item: MaskItem) => item.why.startsWith("rest ");

const FINDINGS: [string, string][] = [
  ["problem", "No good mask"], ["empty", "Empty"], ["area", "Area"], ["shape", "Shape"], ["uncertain", "Uncertain"], ["frame", "At the frame"],
];

function filtersOf(items: MaskItem[]): Filter<MaskItem>[] {
  const found = new Set(items.flatMap((item) => item.kinds));
  return [
    { id: "all", label: "All, worst first", takes: () => true, by: worst },
    { id: "undecided", label: "Undecided", takes: (item) => item.verdict === "", by: worst },
    { id: "accepted", label: "Accepted", takes: (item) => item.verdict === "accepted", by: worst },
    { id: "rejected", label: "Rejected", takes: (item) => item.verdict === "rejected", by: worst },
    { id: "persons", label: "Corrected", takes: (item) => item.persons, by: worst },
    ...(items.some(changed) ? [{ id: "changed", label: "Made again", takes: changed, by: (one: MaskItem, other: MaskItem) => other.differs - one.differs }] : []),
    ...FINDINGS.filter(([kind]) => found.has(kind)).map(([kind, label]) => ({ id: kind, label, takes: (item: MaskItem) => item.kinds.includes(kind), by: worst })),
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
      large={(item, where, go, close) => <Large set={set} item={item} where={where} go={go} close={close} now={now} before={before} setBefore={setBefore} onKeys={() => setDialog("keys")} dialog={dialog === "keys" ? <Keys keys={KEYS} onClose={() => setDialog("")} /> : null} />}
    >
      <header class="head">
        <div>
          <h1>Masks of {set.title}</h1>
          <p class="soft small">
            {set.total.toLocaleString("en")} photographs, {counts.accepted.toLocaleString("en")} accepted, {counts.rejected.toLocaleString("en")} rejected;
            masks in <code>{set.folder}</code>
          </p>
        </div>
        <div class="row">
          {counts.missing > 0 && set.measured === set.total ? (
            <button type="button" class={counts.persons ? "" : "first"} disabled={busy} onClick={() => order("rest", { missing: true })}>Make {counts.missing.toLocaleString("en")} missing</button>
          ) : null}
          <button type="button" class={counts.persons ? "first" : ""} disabled={busy || counts.persons === 0} title={counts.persons ? "" : "Correct a mask first"} onClick={() => setDialog("rest")}>Apply to the rest</button>
          <button type="button" aria-pressed={before} disabled={!items.some((item) => item.undo)} onClick={() => setBefore(!before)}>Before <kbd aria-hidden="true">C</kbd></button>
          <button type="button" onClick={() => setDialog("keys")}>Keys <kbd aria-hidden="true">?</kbd></button>
        </div>
      </header>
      {set.measured < set.total ? (
        <label class="progress small">
          Looking at the masks: {set.measured.toLocaleString("en")} of {set.total.toLocaleString("en")}
          <progress max={set.total} value={set.measured} />
        </label>
      ) : null}
      <RestBar rest={rest} onStop={() => order("rest/stop")} onBack={() => setDialog("back")} />
      <p class={said ? "notice bad" : "unseen"} role="status">{said}</p>
      {dialog === "keys" ? <Keys keys={KEYS} onClose={() => setDialog("")} /> : null}
      {dialog === "rest" ? (
        <Dialog title="Apply to the rest" onClose={() => setDialog("")}>
          <p>
            Maquette learns from the {counts.persons === 1 ? "mask" : `${counts.persons} masks`} that you corrected, and makes {counts.others.toLocaleString("en")} others again.
            Masks that you corrected, accepted or rejected stay as they are. You can compare before and after, and take it back.
          </p>
          <div class="row">
            <button type="button" class="first" onClick={() => { setDialog(""); void order("rest"); }}>Learn and make the rest</button>
            <button type="button" onClick={() => setDialog("")}>Not yet</button>
          </div>
        </Dialog>
      ) : null}
      {dialog === "back" ? (
        <Dialog title="Take it back" onClose={() => setDialog("")}>
          <p>{rest.changed.toLocaleString("en")} masks become what they were before the last run. Those that you accepted or changed since stay.</p>
          <div class="row">
            <button type="button" class="first" onClick={() => { setDialog(""); void order("rest/take-back"); }}>Take back {rest.changed.toLocaleString("en")} masks</button>
            <button type="button" onClick={() => setDialog("")}>Keep them</button>
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
        {busy ? <progress aria-label="The rest" {...(rest.state === "making" && rest.total ? { max: rest.total, value: rest.done } : {})} /> : null}
        {rest.errors.length ? <ul class="small">{rest.errors.map((error) => <li key={error}>{error}</li>)}</ul> : null}
      </div>
      {busy ? <button type="button" onClick={onStop}>Stop</button> : rest.changed ? <button type="button" onClick={onBack}>Take back {rest.changed.toLocaleString("en")}</button> : null}
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
        {before ? <span class="corner">before</span> : item.persons ? <span class="corner">corrected</span> : changed(item) ? <span class="corner">{item.differs >= 0 ? `${percent(item.differs)} changed` : "made again"}</span> : null}
      </div>
      <div class="words">
        <span class="name">{short(item.name)}</span>
        <span class={item.reasons.length ? "reason" : "soft"}>{item.reasons[0] ?? (item.coverage === null ? "" : `object ${percent(item.coverage)}`)}</span>
      </div>
    </div>
  );
}

interface LargeProps {
  set: MaskSet;
  item: MaskItem;
  where: string;
  go: (by: number) => void;
  close: () => void;
  now: () => void;
  before: boolean;
  setBefore: (before: boolean) => void;
  onKeys: () => void;
  dialog: preact.ComponentChildren;
}

const LOOKS = [["outline", "Outline"], ["tint", "Tint"], ["cutout", "Cut-out"], ["", "Photo"]] as const;
const TOOLS: [Tool, string][] = [["move", "Move"], ["object", "Object +"], ["background", "Background −"], ["brush", "Brush"], ["eraser", "Eraser"]];
const TOLD: Record<Tool, string> = {
  move: "Drag to move, turn the wheel to zoom.",
  object: "Click, or draw a line, on what belongs to the object; the service makes the mask anew.",
  background: "Click, or draw a line, on what is not the object; the service makes the mask anew.",
  brush: "Paint what belongs to the object, to the pixel.",
  eraser: "Wipe away what is not the object, to the pixel.",
};

/** What the large view keeps from one photograph to the next. */
const kept = { look: "outline" as string, tool: "move" as Tool, brush: 28 };

function Large({ set, item, where, go, close, now, before: compared, setBefore, onKeys, dialog }: LargeProps) {
  const before = compared && item.undo > 0;
  const [one, setOne] = useState<One<MaskItem> | null>(null);
  const [look, setLook] = useState(kept.look);
  const [tool, setTool] = useState<Tool>(kept.tool);
  const [brush, setBrush] = useState(kept.brush);
  const [busy, setBusy] = useState("");
  const [said, setSaid] = useState("");
  const [replace, setReplace] = useState<(() => void) | null>(null);
  const index = useRef(item.index);
  const stage = useRef<HTMLDivElement>(null);
  const queue = useRef<Promise<unknown>>(Promise.resolve());
  Object.assign(kept, { look, tool, brush });

  useEffect(() => {
    index.current = item.index;
    let over = false;
    setSaid("");
    setBefore(false);
    ask<One<MaskItem>>(`photographs/${item.index}`)
      .then((found) => !over && setOne(found))
      .catch((error: Error) => {
        if (!over) {
          setOne(null);
          setSaid(error.message);
        }
      });
    return () => {
      over = true;
    };
  }, [item.index]);

  // Another program may have changed the mask, or the rest been made: the marks are asked for again.
  const fresh = one?.item.index === item.index ? one : null;
  useEffect(() => {
    if (fresh && fresh.item.undo !== item.undo) {
      ask<One<MaskItem>>(`photographs/${item.index}`).then((found) => found.item.index === index.current && setOne(found)).catch(() => undefined);
    }
  }, [item.undo, item.stamp]);
  useEffect(() => stage.current?.querySelector<HTMLElement>("[role=application]")?.focus(), [fresh === null]);

  /** One change after the other. */
  const order = (path: string, body: object, doing: string, again?: () => void) => {
    const at = item.index;
    queue.current = queue.current.then(async () => {
      setBusy(doing);
      setSaid("");
      try {
        const { sentence } = await change<{ sentence: string }>(`photographs/${at}/${path}`, body);
        if (index.current === at && sentence) setSaid(sentence);
        const found = await ask<One<MaskItem>>(`photographs/${at}`);
        if (index.current === at) setOne(found);
      } catch (error) {
        if (error instanceof Refused && error.status === 409 && again) setReplace(() => again);
        else setSaid((error as Error).message);
        if (index.current === at) setOne((former) => former && { ...former });
      }
      setBusy("");
      now();
    });
  };
  const decide = (verdict: Verdict, on: boolean) => {
    order("verdict", { verdict: item.verdict === verdict && !on ? "" : verdict }, "Saving");
    if (on) go(1);
  };
  const mark = (given: Mark) => {
    const doing = given.kind === "paint" ? "Saving" : "Asking the service";
    order("marks", { mark: given }, doing, () => order("marks", { mark: given, replace_mine: true }, doing));
  };
  const undo = () => item.undo && order("undo", {}, "Undoing");
  const redo = () => item.redo && order("redo", {}, "Redoing");
  const neighbours = () => order("as-neighbours", {}, "Learning from its neighbours", () => order("as-neighbours", { replace_mine: true }, "Learning from its neighbours"));
  const compare = () => setBefore(!before);

  useKeys({
    Escape: close, j: () => go(1), k: () => go(-1), " ": () => decide("accepted", true), x: () => decide("rejected", true),
    u: undo, "Ctrl+z": undo, r: redo, "Shift+Ctrl+z": redo, "Ctrl+y": redo, n: neighbours,
    "[": () => setBrush(Math.max(4, brush - 6)), "]": () => setBrush(Math.min(160, brush + 6)),
    ...Object.fromEntries(LOOKS.map(([id], number) => [String(number + 1), () => setLook(id)])),
    ...Object.fromEntries(TOOLS.map(([id], number) => [String(number + 5), () => setTool(id)])),
  });

  const state = fresh?.item.stamp && busy ? fresh.item : item;
  return (
    <main class="large">
      <div class="picture" ref={stage}>
        {fresh ? (
          <Stage
            index={item.index} shape={fresh} session={set.session} look={(before ? true : state.mask || state.undo > 0) && state.stamp !== "0" ? look : ""}
            stamp={`${state.stamp}.${before ? state.undo : ""}`} before={before} tool={tool} brush={brush} marks={before ? [] : (fresh.marks ?? [])}
            label={`${item.name}. ${TOLD[tool]}`} onMark={mark}
          />
        ) : <p class="empty">{said || "Opening …"}</p>}
        {before ? <span class="corner">before the last change</span> : null}
        <span class={busy ? "busy" : "unseen"} role="status">{busy ? `${busy} …` : ""}</span>
      </div>
      <aside class="side" aria-label="This photograph">
        <div class="row between">
          <button type="button" onClick={close}>← All <kbd aria-hidden="true">Esc</kbd></button>
          <span class="soft small number">{where}</span>
          <div class="row tight">
            <button type="button" aria-label="Previous photograph" onClick={() => go(-1)}>‹ <kbd aria-hidden="true">K</kbd></button>
            <button type="button" aria-label="Next photograph" onClick={() => go(1)}>› <kbd aria-hidden="true">J</kbd></button>
          </div>
        </div>
        <div>
          <h1 class="file">{short(item.name)}</h1>
          {item.reasons.length ? (
            <ul class="reasons">{item.reasons.map((reason) => <li key={reason}>{reason}</li>)}</ul>
          ) : <p class="soft">{item.measured ? "Nothing stands out." : "Not looked at yet."}</p>}
          <p class="soft small">{item.persons ? "Corrected by a person. " : changed(item) ? "Made again with what was learnt. " : ""}{item.coverage === null ? "" : `Object ${percent(item.coverage)} of the photograph.`}</p>
        </div>
        <div class="verdict">
          <Press hint="Space" class={`good ${item.verdict === "accepted" ? "is" : ""}`} pressed={item.verdict === "accepted"} onClick={() => decide("accepted", false)}>✓ Accept</Press>
          <Press hint="X" class={`bad ${item.verdict === "rejected" ? "is" : ""}`} pressed={item.verdict === "rejected"} onClick={() => decide("rejected", false)}>✕ Reject</Press>
        </div>
        <div class="stack">
          <Choices label="Mask shown as" chosen={look} onChoose={setLook} choices={LOOKS.map(([id, label]) => ({ id, label }))} />
          <Choices label="Tool" chosen={tool} onChoose={(id) => setTool(id as Tool)} choices={TOOLS.map(([id, label]) => ({ id, label }))} />
          <p class="soft small told">{TOLD[tool]}</p>
          {tool === "brush" || tool === "eraser" ? (
            <label class="slider small">Size <input type="range" min={4} max={160} value={brush} onInput={(event) => setBrush(Number(event.currentTarget.value))} /> <output class="number">{brush}</output></label>
          ) : null}
          <div class="row">
            <Press hint="U" disabled={!item.undo} onClick={undo}>Undo</Press>
            <Press hint="R" disabled={!item.redo} onClick={redo}>Redo</Press>
            <Press hint="C" disabled={!item.undo} pressed={before} onClick={compare}>Before</Press>
          </div>
          <div class="row">
            <Press hint="N" disabled={!fresh?.neighbours?.length} onClick={neighbours}>As its neighbours</Press>
            <button type="button" onClick={onKeys}>Keys <kbd aria-hidden="true">?</kbd></button>
          </div>
          <p class="soft small">
            {fresh?.neighbours?.length ? `Its nearest accepted or corrected: ${fresh.neighbours.map(short).join(", ")}.` : "Accept or correct some masks: then they can teach this one."}
          </p>
        </div>
        <p class={said && fresh ? "notice" : "unseen"} role="status">{fresh ? said : ""}</p>
      </aside>
      {dialog}
      {replace ? (
        <Dialog title="A person made this mask" onClose={() => setReplace(null)}>
          <p>It was made or corrected in another program. This makes it anew, without that work; undo brings it back.</p>
          <div class="row">
            <button type="button" class="first" onClick={() => { replace(); setReplace(null); }}>Make it anew</button>
            <button type="button" onClick={() => setReplace(null)}>Leave it</button>
          </div>
        </Dialog>
      ) : null}
    </main>
  );
}
