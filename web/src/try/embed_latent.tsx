import { useContext, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ask, fromBase64, KeyContext, type Problem, Refused, useAddress, useAnswer, useModel } from "../kit/api";
import { type Photograph, PhotographInput, Stage } from "../kit/photograph";
import { address, Code, KEY, Request } from "../kit/request";
import { About, mount, ProblemNotice, Shell } from "../kit/shell";
import { Answered, asForm } from "./answered";
import { deviations, Mark, type Place, Plane, type Space, written } from "./embed/plane";
import "../base.css";
import "./try.css";
import "./embed/embed.css";

interface Answer {
  latent: Place;
  prior_distance: number;
  unlike_training: boolean;
  notes: string[];
}

/** The decoder's picture at a place. One question at a time: while it is answered, only the newest place is remembered. */
function useDecoded(space: Space | null, place: Place | null): { picture: Blob | null; problem: Problem | null } {
  const { key, refused } = useContext(KeyContext);
  const [picture, setPicture] = useState<Blob | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const state = useRef<{ wanted: Place | null; busy: boolean }>({ wanted: null, busy: false });
  useEffect(() => {
    state.current.wanted = place;
    if (!space || !place || state.current.busy) return;
    const next = async () => {
      state.current.busy = true;
      while (state.current.wanted) {
        const latent = state.current.wanted;
        state.current.wanted = null;
        try {
          const body = JSON.stringify({ latent, embedding_space: space.embedding_space });
          const response = await ask("v1/decodings", key, { method: "POST", body, headers: { "content-type": "application/json" } });
          setPicture(fromBase64(((await response.json()) as { images: string[] }).images[0]!));
          setProblem(null);
        } catch (error) {
          if (!(error instanceof Refused)) throw error;
          if (error.problem.status === 401) refused();
          setProblem(error.problem);
        }
      }
      state.current.busy = false;
    };
    void next();
  }, [space, key, place?.[0], place?.[1]]);
  return { picture, problem };
}

function EmbedLatent() {
  const [photograph, setPhotograph] = useState<Photograph | null>(null);
  const [walked, setWalked] = useState<Place | null>(null);
  const [hidden, setHidden] = useState(new Set<string>());
  const model = useModel("embed_latent");
  const space = useAnswer<Space>(async (key, signal) => (await ask("v1/space", key, { signal })).json(), []);
  const asked = photograph && { path: "v1/embeddings", file: photograph.file.name, fields: {} };
  const outcome = useAnswer<Answer>(
    asked && (async (key, signal) => (await ask(asked.path, key, { method: "POST", body: asForm(photograph.file, asked.fields), signal })).json()),
    [photograph?.file],
    photograph?.file,
  );
  const answer = outcome.answer;
  useEffect(() => setWalked(answer ? answer.latent : null), [answer]);
  const plane = space.answer;
  const here = useMemo<Place | null>(() => walked ?? (plane && [plane.prior_mean[0]!, plane.prior_mean[1]!]), [walked, plane]);
  const decoded = useDecoded(plane, here);
  const figurine = useAddress(decoded.picture);
  const flat = plane?.dimensions === 2;

  return (
    <Shell here="try" title="Where does this figurine lie?" lead="A photograph as a point of a plane, among the figurines that the model knows. Walk the plane and see what the model imagines at each place.">
      <div class="try latent">
        <section class="card stack" aria-labelledby="plane">
          <h2 id="plane">The latent plane</h2>
          {space.problem && <ProblemNotice problem={space.problem} />}
          {plane && !flat && <p class="notice">This model's space has {plane.dimensions} dimensions; only a plane can be drawn.</p>}
          {plane && flat && here && (
            <div class="walk">
              <div>
                <Plane space={plane} here={here} photograph={answer?.latent ?? null} onHere={setWalked} hidden={hidden} />
                <div class="row legend">
                  {plane.groups.map((group, index) => (
                    <button
                      type="button"
                      key={group}
                      aria-pressed={!hidden.has(group)}
                      onClick={() => {
                        const next = new Set(hidden);
                        if (!next.delete(group)) next.add(group);
                        setHidden(next);
                      }}
                    >
                      <svg viewBox="-1.6 -1.6 3.2 3.2" width="14" height="14" aria-hidden="true"><Mark index={index} size={1} /></svg>
                      {group}
                    </button>
                  ))}
                  {answer && <span class="small"><span class="star" aria-hidden="true">★</span> the photograph</span>}
                </div>
              </div>
              <figure class="figurine">
                {figurine ? <img src={figurine} alt={`What the decoder draws at ${written(here)}`} /> : <div class="blank" />}
                <figcaption class="small">
                  What the decoder draws at <span class="number" data-here>{written(here)}</span>
                  <span class="soft">, <span class="number">{deviations(plane, here).toFixed(1)} σ</span> from the centre</span>
                </figcaption>
                {decoded.problem && <ProblemNotice problem={decoded.problem} />}
                <details class="unprinted">
                  <summary class="small">The request that draws it</summary>
                  <Drawn place={here} />
                </details>
                {answer && <button type="button" class="unprinted" onClick={() => setWalked(answer.latent)}>Back to the photograph</button>}
              </figure>
            </div>
          )}
          <p class="small soft">
            Move the pointer over the plane, or use the arrow keys. The circles are 1, 2 and 3 standard deviations of the prior, the normal
            distribution that training pulls all photographs into: 98.9 % of it lies within 3. Near means alike to the model, no more.
          </p>
        </section>
        <div class="stack asking">
          <PhotographInput samples={["figurine", "statue", "bust"]} photograph={photograph} onPhotograph={setPhotograph}>
            {photograph && <Stage photograph={photograph} />}
          </PhotographInput>
          <Answered outcome={outcome} photograph={photograph} waiting="The photograph's point will stand here, and the figurines nearest to it.">
            {answer && plane && <Verdict answer={answer} space={plane} />}
          </Answered>
        </div>
        {asked && <Request asked={asked} answer={answer} />}
      </div>
      <About model={model} />
    </Shell>
  );
}

function Drawn({ place }: { place: Place }) {
  const { key } = useContext(KeyContext);
  const parts = [
    "curl",
    ...(key ? [`-H "x-api-key: $${KEY}"`] : []),
    `-d '{"latent": [${place.map((value) => value.toFixed(3)).join(", ")}]}'`,
    "-H 'accept: image/png'",
    "-o point.png",
    address("v1/decodings"),
  ];
  return <Code label="The request that draws it, as a curl command">{parts.join(" \\\n  ")}</Code>;
}

function Verdict({ answer, space }: { answer: Answer; space: Space }) {
  const nearest = space.points
    .map((point) => ({ ...point, distance: Math.hypot(...answer.latent.map((value, axis) => value - point.latent[axis]!)) }))
    .sort((one, other) => one.distance - other.distance)
    .slice(0, 5);
  return (
    <>
      <p class="verdict"><strong>{written(answer.latent)}</strong><span class="number">{answer.prior_distance.toFixed(1)} σ from the centre</span></p>
      {answer.unlike_training && (
        <p class="notice warn">This is unlike the photographs that the model was trained on: take the point for a guess.</p>
      )}
      <h3>Nearest in the plane</h3>
      <ol class="nearest small">
        {nearest.map(({ id, group, distance }) => (
          <li key={id}>
            <svg viewBox="-1.6 -1.6 3.2 3.2" width="12" height="12" aria-hidden="true"><Mark index={space.groups.indexOf(group)} size={1} /></svg>
            {id.slice(id.lastIndexOf("/") + 1)} <span class="soft">{group}, <span class="number">{distance.toFixed(2)}</span> away</span>
          </li>
        ))}
      </ol>
      <p class="small soft">The service knows these figurines by name; their pictures are not part of it.</p>
    </>
  );
}

mount(EmbedLatent);
