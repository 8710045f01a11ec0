import { useContext, useEffect, useMemo, useState } from "preact/hooks";
import { ask, fromBase64, KeyContext, type Problem, Refused, useAddress, useAnswer, useModel } from "../kit/api";
import { type Photograph, PhotographInput, Stage } from "../kit/photograph";
import { Request } from "../kit/request";
import { About, mount, ProblemNotice, Shell } from "../kit/shell";
import { percent } from "../kit/bars";
import { Answered, asForm } from "./answered";
import { inSensorFrame, orientationOf, type Point } from "./remove/hints";
import { maskName, PROGRAMS } from "./remove/naming";
import { type Ground, type Tool, Viewer } from "./remove/viewer";
import "../base.css";
import "./try.css";
import "./remove/remove.css";

interface Answer {
  mask: string;
  cutout?: string;
  report: { width: number; height: number; coverage: number; edges: Record<string, boolean>; components: number; empty: boolean; uncertainty: number };
  notes: string[];
}

/** The photograph with the mask as its alpha, at its full size. */
async function cutOut(picture: ImageBitmap, mask: string): Promise<OffscreenCanvas> {
  const drawn = new OffscreenCanvas(picture.width, picture.height);
  const pen = drawn.getContext("2d", { willReadFrequently: true })!;
  pen.drawImage(await createImageBitmap(fromBase64(mask)), 0, 0);
  const alpha = pen.getImageData(0, 0, drawn.width, drawn.height);
  for (let at = 0; at < alpha.data.length; at += 4) alpha.data[at + 3] = alpha.data[at]!;
  pen.putImageData(alpha, 0, 0);
  pen.globalCompositeOperation = "source-in";
  pen.drawImage(picture, 0, 0);
  return drawn;
}

function save(blob: Blob, name: string) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const TOOLS: [Tool, string][] = [["look", "Look"], ["object", "+ Object"], ["background", "− Background"]];

function RemoveBackground() {
  const [photograph, setPhotograph] = useState<Photograph | null>(null);
  const [points, setPoints] = useState<Point[]>([]);
  const [tool, setTool] = useState<Tool>("look");
  const [ground, setGround] = useState<Ground>("checks");
  const [split, setSplit] = useState(0.5);
  const [cutout, setCutout] = useState<OffscreenCanvas | null>(null);
  const model = useModel("remove_background");
  const asked = photograph && {
    path: "v1/masks",
    file: photograph.file.name,
    fields: { frame: "display", ...(photograph.picture === null ? { output: "both" } : {}), ...(points.length ? { hints: { points } } : {}) },
  };
  const outcome = useAnswer<Answer>(
    asked && (async (key, signal) => (await ask(asked.path, key, { method: "POST", body: asForm(photograph.file, asked.fields), signal })).json()),
    // What the browser cannot show, such as TIFF, is cut out by the service.
    [photograph?.file, photograph?.picture === null, points],
    photograph?.file,
  );
  const answer = outcome.answer;
  const picture = photograph?.picture ?? null;
  const served = useMemo(() => (answer?.cutout ? fromBase64(answer.cutout) : null), [answer]);
  const instead = useAddress(served);
  useEffect(() => {
    let late = false;
    if (!answer || !picture) setCutout(null);
    else void cutOut(picture, answer.mask).then((made) => late || setCutout(made));
    return () => {
      late = true;
    };
  }, [answer, picture]);

  return (
    <Shell here="try" title="Which pixels are the object?" lead="A mask of the photograph's own size, for photogrammetry, catalogues and cut-outs.">
      <div class="try">
        <PhotographInput
          samples={["statue", "bust", "figurine", "relief", "organic_form"]}
          photograph={photograph}
          onPhotograph={(taken) => {
            setPhotograph(taken);
            if (taken.picture !== undefined) return;
            setPoints([]);
            setTool("look");
          }}
        >
          {photograph && !picture && <Stage photograph={photograph} instead={instead} />}
          {photograph && picture && (
            <>
              <Viewer
                picture={picture}
                cutout={cutout}
                points={points}
                tool={tool}
                ground={ground}
                split={split}
                onSplit={setSplit}
                onGround={setGround}
                onPoint={(x, y) => tool !== "look" && setPoints([...points, { x, y, mark: tool }])}
              />
              <label class="slide small unprinted">
                <span>Cut-out</span>
                <input type="range" min="0" max="100" value={100 * split} onInput={(event) => setSplit(Number(event.currentTarget.value) / 100)} aria-label="Where the photograph ends and the cut-out begins, in per cent" />
                <span>Photograph</span>
              </label>
              <div class="row unprinted" role="group" aria-label="Correct the mask">
                {TOOLS.map(([each, name]) => (
                  <button type="button" key={each} aria-pressed={tool === each} onClick={() => setTool(each)}>{name}</button>
                ))}
                <button type="button" class="plain" disabled={!points.length} onClick={() => setPoints(points.slice(0, -1))}>Undo</button>
                <button type="button" class="plain" disabled={!points.length} onClick={() => setPoints([])}>Start again</button>
              </div>
              <p class="small soft unprinted">
                {tool === "look"
                  ? "Where the mask is wrong, take + or − and click there."
                  : `Click what is ${tool === "object" ? "object and missing" : "background and not cut away"}; what is like it follows.`}
              </p>
            </>
          )}
        </PhotographInput>
        <Answered outcome={outcome} photograph={photograph} waiting="What the mask is like will stand here, and the mask to take with you.">
          {answer && photograph && (
            <>
              <Verdict {...answer.report} />
              <Download photograph={photograph} points={points} cutout={cutout ? () => cutout.convertToBlob({ type: "image/png" }) : served ? async () => served : null} />
            </>
          )}
        </Answered>
        {asked && <Request asked={asked} answer={answer} />}
      </div>
      <About model={model} />
    </Shell>
  );
}

function Verdict({ coverage, edges, components, empty, uncertainty, width, height }: Answer["report"]) {
  const touched = Object.keys(edges).filter((edge) => edges[edge]);
  return (
    <>
      <p class="verdict"><strong>{empty ? "No object found" : `${percent(coverage)} object`}</strong></p>
      {touched.length > 0 && <p class="notice warn">The object touches the {touched.join(", ")} edge of the photograph: some of it may be outside.</p>}
      <dl class="facts">
        <dt>Size</dt><dd class="number">{width} × {height} pixels</dd>
        <dt>Regions</dt><dd class="number">{components}</dd>
        <dt>Uncertainty</dt><dd class="number">{uncertainty.toFixed(3)} <span class="soft">(0: certain, 1: guessed)</span></dd>
      </dl>
    </>
  );
}

function Download({ photograph, points, cutout }: { photograph: Photograph; points: Point[]; cutout: (() => Promise<Blob>) | null }) {
  const { key } = useContext(KeyContext);
  const [program, setProgram] = useState("colmap");
  const [problem, setProblem] = useState<Problem | null>(null);
  const { file, picture } = photograph;
  const name = maskName(file.name, program);

  /** Photogrammetry wants the rows that the camera stored, whichever way up the photograph is shown. */
  async function mask() {
    setProblem(null);
    const stored = picture ? inSensorFrame(points, await orientationOf(file), picture.width, picture.height) : [];
    const body = asForm(file, { frame: "sensor", ...(stored.length ? { hints: { points: stored } } : {}) });
    try {
      save(await (await ask("v1/masks", key, { method: "POST", body, headers: { accept: "image/png" } })).blob(), name!);
    } catch (error) {
      if (error instanceof Refused) setProblem(error.problem);
    }
  }
  return (
    <div class="stack download unprinted">
      <h2>Take it with you</h2>
      <div class="row">
        <label for="program">Mask for</label>
        <select id="program" value={program} onChange={(event) => setProgram(event.currentTarget.value)}>
          {PROGRAMS.map(({ id, title }) => <option key={id} value={id}>{title}</option>)}
        </select>
        <button type="button" class="first" disabled={!name} onClick={() => void mask()}>Download mask</button>
      </div>
      {name
        ? <p class="small">as <code data-name>{name}</code>, <span class="soft">in the rows and columns that the camera stored</span></p>
        : <p class="notice warn">ODM passes over masks with a space in their name; rename the photograph.</p>}
      {problem && <ProblemNotice problem={problem} />}
      <div class="row">
        <button type="button" disabled={!cutout} onClick={() => void cutout?.().then((blob) => save(blob, `${file.name}.cutout.png`))}>
          Download cut-out
        </button>
        <span class="small soft">upright, background transparent</span>
      </div>
    </div>
  );
}

mount(RemoveBackground);
