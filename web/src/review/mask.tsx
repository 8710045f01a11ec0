import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ask, change, Refused, type Mark, type MaskItem, type MaskSet, type One, type Verdict } from "./api";
import { useKeys } from "./keys";
import { changed, Choices, Dialog, percent, Press, short } from "./parts";
import { Stage, type Tool } from "./stage";

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
  dialog: ComponentChildren;
}

const LOOKS = [
  ["outline", "Outline"],
  ["tint", "Tint"],
  ["cutout", "Cut-out"],
  ["", "Photo"],
] as const;
const TOOLS: [Tool, string][] = [
  ["move", "Move"],
  ["object", "Object +"],
  ["background", "Background −"],
  ["brush", "Brush"],
  ["eraser", "Eraser"],
];
const TOLD: Record<Tool, string> = {
  move: "Drag to move, turn the wheel to zoom.",
  object: "Click, or draw a line, on what belongs to the object; the service makes the mask anew.",
  background: "Click, or draw a line, on what is not the object; the service makes the mask anew.",
  brush: "Paint what belongs to the object, to the pixel.",
  eraser: "Wipe away what is not the object, to the pixel.",
};

/** What the view keeps from one photograph to the next. */
const kept = { look: "outline" as string, tool: "move" as Tool, brush: 28 };

/** One photograph, large, with its mask and all that can be done to it. */
export function Large({ set, item, where, go, close, now, before: compared, setBefore, onKeys, dialog }: LargeProps) {
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
      ask<One<MaskItem>>(`photographs/${item.index}`)
        .then((found) => found.item.index === index.current && setOne(found))
        .catch(() => undefined);
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
  const neighbours = () =>
    order("as-neighbours", {}, "Learning from its neighbours", () =>
      order("as-neighbours", { replace_mine: true }, "Learning from its neighbours"),
    );
  const compare = () => setBefore(!before);

  useKeys({
    Escape: close,
    j: () => go(1),
    k: () => go(-1),
    " ": () => decide("accepted", true),
    x: () => decide("rejected", true),
    u: undo,
    "Ctrl+z": undo,
    r: redo,
    "Shift+Ctrl+z": redo,
    "Ctrl+y": redo,
    n: neighbours,
    "[": () => setBrush(Math.max(4, brush - 6)),
    "]": () => setBrush(Math.min(160, brush + 6)),
    ...Object.fromEntries(LOOKS.map(([id], number) => [String(number + 1), () => setLook(id)])),
    ...Object.fromEntries(TOOLS.map(([id], number) => [String(number + 5), () => setTool(id)])),
  });

  const state = fresh?.item.stamp && busy ? fresh.item : item;
  return (
    <main class="large">
      <div class="picture" ref={stage}>
        {fresh ? (
          <Stage
            index={item.index}
            shape={fresh}
            session={set.session}
            look={(before ? true : state.mask || state.undo > 0) && state.stamp !== "0" ? look : ""}
            stamp={`${state.stamp}.${before ? state.undo : ""}`}
            before={before}
            tool={tool}
            brush={brush}
            marks={before ? [] : (fresh.marks ?? [])}
            label={`${item.name}. ${TOLD[tool]}`}
            onMark={mark}
          />
        ) : (
          <p class="empty">{said || "Opening …"}</p>
        )}
        {before ? <span class="corner">before the last change</span> : null}
        <span class={busy ? "busy" : "unseen"} role="status">
          {busy ? `${busy} …` : ""}
        </span>
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
          {item.reasons.length ? (
            <ul class="reasons">
              {item.reasons.map((reason) => (
                <li key={reason}>{reason}</li>
              ))}
            </ul>
          ) : (
            <p class="soft">{item.measured ? "Nothing stands out." : "Not looked at yet."}</p>
          )}
          <p class="soft small">
            {item.persons ? "Corrected by a person. " : changed(item) ? "Made again with what was learnt. " : ""}
            {item.coverage === null ? "" : `Object ${percent(item.coverage)} of the photograph.`}
          </p>
        </div>
        <div class="verdict">
          <Press
            hint="Space"
            class={`good ${item.verdict === "accepted" ? "is" : ""}`}
            pressed={item.verdict === "accepted"}
            onClick={() => decide("accepted", false)}
          >
            ✓ Accept
          </Press>
          <Press
            hint="X"
            class={`bad ${item.verdict === "rejected" ? "is" : ""}`}
            pressed={item.verdict === "rejected"}
            onClick={() => decide("rejected", false)}
          >
            ✕ Reject
          </Press>
        </div>
        <div class="stack">
          <Choices label="Mask shown as" chosen={look} onChoose={setLook} choices={LOOKS.map(([id, label]) => ({ id, label }))} />
          <Choices
            label="Tool"
            chosen={tool}
            onChoose={(id) => setTool(id as Tool)}
            choices={TOOLS.map(([id, label]) => ({ id, label }))}
          />
          <p class="soft small told">{TOLD[tool]}</p>
          {tool === "brush" || tool === "eraser" ? (
            <label class="slider small">
              Size
              <input type="range" min={4} max={160} value={brush} onInput={(event) => setBrush(Number(event.currentTarget.value))} />
              <output class="number">{brush}</output>
            </label>
          ) : null}
          <div class="row">
            <Press hint="U" disabled={!item.undo} onClick={undo}>
              Undo
            </Press>
            <Press hint="R" disabled={!item.redo} onClick={redo}>
              Redo
            </Press>
            <Press hint="C" disabled={!item.undo} pressed={before} onClick={compare}>
              Before
            </Press>
          </div>
          <div class="row">
            <Press hint="N" disabled={!fresh?.neighbours?.length} onClick={neighbours}>
              As its neighbours
            </Press>
            <button type="button" onClick={onKeys}>
              Keys <kbd aria-hidden="true">?</kbd>
            </button>
          </div>
          <p class="soft small">
            {fresh?.neighbours?.length
              ? `Its nearest accepted or corrected: ${fresh.neighbours.map(short).join(", ")}.`
              : "Accept or correct some masks: then they can teach this one."}
          </p>
        </div>
        <p class={said && fresh ? "notice" : "unseen"} role="status">
          {fresh ? said : ""}
        </p>
      </aside>
      {dialog}
      {replace ? (
        <Dialog title="A person made this mask" onClose={() => setReplace(null)}>
          <p>It was made or corrected in another program. This makes it anew, without that work; undo brings it back.</p>
          <div class="row">
            <button
              type="button"
              class="first"
              onClick={() => {
                replace();
                setReplace(null);
              }}
            >
              Make it anew
            </button>
            <button type="button" onClick={() => setReplace(null)}>
              Leave it
            </button>
          </div>
        </Dialog>
      ) : null}
    </main>
  );
}
