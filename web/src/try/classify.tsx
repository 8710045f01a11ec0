import { useMemo, useState } from "preact/hooks";
import { ask, fromBase64, useAddress, useAnswer, useModel } from "../kit/api";
import { Bars, percent } from "../kit/bars";
import { type Photograph, PhotographInput, Stage } from "../kit/photograph";
import { Request } from "../kit/request";
import { About, mount, Shell } from "../kit/shell";
import { Answered, asForm } from "./answered";
import "../base.css";
import "./try.css";

interface Prediction {
  label: string;
  name: string;
  probability: number;
  uri?: string;
  broader?: string;
}

interface Answer {
  predictions: Prediction[];
  abstained: boolean;
  abstention_reason?: string;
  confidence: number;
  explanation?: string;
  notes: string[];
}

const REASONS: Record<string, string> = {
  ABSTENTION_REASON_NO_SCULPTURE: "it hardly shows a sculpture at all",
  ABSTENTION_REASON_UNSURE_OF_TYPE: "it shows a sculpture, but no type is probable enough",
};

/** A type in the Getty's Art & Architecture Thesaurus; `broader` where only a wider term is certain. */
function Authority({ uri, broader }: Prediction) {
  const link = uri ?? broader;
  if (!link) return null;
  return <a class="authority" href={link} rel="noreferrer">{uri ? "AAT" : "AAT, broader"} {link.split("/").pop()}</a>;
}

function Verdict({ answer }: { answer: Answer }) {
  const [best] = answer.predictions;
  if (!best) return null;
  if (!answer.abstained) {
    return <p class="verdict"><strong>{best.name}</strong><span class="number">{percent(best.probability)}</span></p>;
  }
  return (
    <>
      <p class="verdict"><strong>No answer</strong></p>
      <p class="notice warn">
        The model abstains: {REASONS[answer.abstention_reason ?? ""] ?? "it is not sure enough"}. It answers from a confidence
        of {percent(answer.confidence)} on; below that, let a person decide.
      </p>
    </>
  );
}

function Classify() {
  const [photograph, setPhotograph] = useState<Photograph | null>(null);
  const [heat, setHeat] = useState(75);
  const model = useModel("classify");
  const labels = model.answer?.labels.length;
  const asked = photograph && {
    path: "v1/classifications",
    file: photograph.file.name,
    fields: { ...(labels ? { top_k: labels } : {}), explain: true },
  };
  const outcome = useAnswer<Answer>(
    asked && (async (key, signal) => (await ask(asked.path, key, { method: "POST", body: asForm(photograph.file, asked.fields), signal })).json()),
    [photograph?.file, labels],
    photograph?.file,
  );
  const answer = outcome.answer;
  const explanation = useAddress(useMemo(() => (answer?.explanation ? fromBase64(answer.explanation) : null), [answer]));
  const best = answer?.predictions[0];
  return (
    <Shell here="try" title="Which type of sculpture is this?" lead="One photograph, eight types, and where in the picture the answer comes from.">
      <div class="try">
        <PhotographInput samples={["statue", "bust", "relief", "organic_form", "room"]} photograph={photograph} onPhotograph={setPhotograph}>
          {photograph && (
            <Stage photograph={photograph} instead={explanation}>
              {explanation && (
                <img src={explanation} alt={`The photograph in grey, with heat over what speaks for ${best?.name ?? "the answer"}`} style={{ opacity: heat / 100 }} />
              )}
            </Stage>
          )}
          {explanation && best && photograph?.picture && (
            <label class="slide small unprinted">
              <span>Photograph</span>
              <input type="range" min="0" max="100" value={heat} onInput={(event) => setHeat(Number(event.currentTarget.value))} aria-label="How much of the heat is shown" />
              <span>What speaks for {best.name}</span>
            </label>
          )}
        </PhotographInput>
        <Answered outcome={outcome} photograph={photograph} waiting="The eight types will stand here, each with its probability.">
          {answer && (
            <>
              <Verdict answer={answer} />
              <Bars
                label="Types of sculpture"
                named={["Type", "Probability"]}
                rows={answer.predictions.map((each, index) => ({
                  key: each.label,
                  name: <>{each.name} <br /><Authority {...each} /></>,
                  value: each.probability,
                  first: index === 0 && !answer.abstained,
                }))}
              />
            </>
          )}
        </Answered>
        {asked && <Request asked={asked} answer={answer} />}
      </div>
      <About model={model} />
    </Shell>
  );
}

mount(Classify);
