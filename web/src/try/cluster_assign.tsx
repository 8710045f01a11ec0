import { useMemo, useRef, useState } from "preact/hooks";
import { ask, useAddress, useAnswer, useModel } from "../kit/api";
import { Bars, percent } from "../kit/bars";
import { type Photograph, PhotographInput, Stage } from "../kit/photograph";
import { Request } from "../kit/request";
import { About, mount, Shell } from "../kit/shell";
import { Answered, asForm } from "./answered";
import "../base.css";
import "./try.css";
import "./cluster/cluster.css";

interface Cluster {
  id: number;
  size: number;
  silhouette: number;
  exemplars: string[];
}

interface Answer {
  cluster: Cluster;
  assignments: { cluster: number; q: number }[];
  between: boolean;
  neighbours: { id: string; distance: number; cluster: number }[];
  embedding_space: string;
  notes: string[];
}

/** The pictures of a folder that the person chose, by file name; they are read from the disk and sent nowhere. */
type Pictures = Map<string, File>;

function basename(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function Work({ id, pictures, children }: { id: string; pictures: Pictures; children?: string }) {
  const address = useAddress(pictures.get(basename(id)) ?? null);
  return (
    <li class="work">
      {address ? <img src={address} alt={basename(id)} /> : <span class="nameless" aria-hidden="true" />}
      <span class="small">{basename(id)}</span>
      {children && <span class="small soft number">{children}</span>}
    </li>
  );
}

function ClusterAssign() {
  const [photograph, setPhotograph] = useState<Photograph | null>(null);
  const [pictures, setPictures] = useState<Pictures>(new Map());
  const folder = useRef<HTMLInputElement>(null);
  const model = useModel("cluster_assign");
  const all = useAnswer<Cluster[]>(async (key, signal) => (await (await ask("v1/clusters", key, { signal })).json()).clusters, []);
  const asked = photograph && { path: "v1/assignments", file: photograph.file.name, fields: { neighbours: 8 } };
  const outcome = useAnswer<Answer>(
    asked && (async (key, signal) => (await ask(asked.path, key, { method: "POST", body: asForm(photograph.file, asked.fields), signal })).json()),
    [photograph?.file],
    photograph?.file,
  );
  const answer = outcome.answer;
  // The most probable groups first; without a photograph all, in order.
  const clusters = useMemo(() => {
    const known = new Map(all.answer?.map((each) => [each.id, each]));
    const order = answer?.assignments.map(({ cluster }) => cluster) ?? [...known.keys()];
    return order.flatMap((id) => known.get(id) ?? []);
  }, [all.answer, answer]);

  return (
    <Shell here="try" title="Which visual group does this fall in?" lead="A painting among the groups that the model found in its reference collection, and the works most like it.">
      <div class="try">
        <PhotographInput samples={["relief", "statue", "room"]} photograph={photograph} onPhotograph={setPhotograph}>
          {photograph && <Stage photograph={photograph} />}
        </PhotographInput>
        <Answered outcome={outcome} photograph={photograph} waiting="The groups will stand here, each with its share of the photograph.">
          {answer && (
            <>
              <Verdict {...answer} />
              <Bars
                label="Groups and their shares"
                named={["Group", "Share"]}
                rows={answer.assignments.map(({ cluster, q }, index) => ({ key: cluster, name: `Group ${cluster}`, value: q, first: index === 0 || (answer.between && index === 1) }))}
              />
            </>
          )}
        </Answered>
        <section class="card stack whole" aria-labelledby="works">
          <h2 id="works">{answer ? "The nearest works, and those at the heart of each group" : "The works at the heart of each group"}</h2>
          <div class="row unprinted">
            <p class="soft">
              {pictures.size
                ? `${pictures.size.toLocaleString("en")} pictures of your folder are at hand; they stay on this computer.`
                : "The service knows these works by name; their pictures are not part of it. If you have the folder that the model was trained on, they can be shown from there, and are sent nowhere."}
            </p>
            <button type="button" onClick={() => folder.current?.click()}>Show pictures from a folder</button>
            <input
              ref={folder}
              class="unseen"
              type="file"
              multiple
              tabIndex={-1}
              aria-label="Folder of pictures"
              {...{ webkitdirectory: true }}
              onChange={(event) => {
                const files = [...(event.currentTarget.files ?? [])].filter((file) => file.type.startsWith("image/"));
                setPictures(new Map(files.map((file) => [file.name, file])));
              }}
            />
          </div>
          {answer && (
            <div class="group">
              <h3>Nearest works</h3>
              <p class="small soft">by distance between embeddings</p>
              <ul class="works">
                {answer.neighbours.map(({ id, distance, cluster }) => (
                  <Work key={id} id={id} pictures={pictures}>{`${distance.toFixed(2)}, group ${cluster}`}</Work>
                ))}
              </ul>
            </div>
          )}
          <div class="groups">
            {clusters.map((cluster) => (
              <div class="group" key={cluster.id}>
                <h3>Group {cluster.id}</h3>
                <p class="small soft">{cluster.size} works, silhouette <span class="number">{cluster.silhouette.toFixed(2)}</span></p>
                <ul class="works">{cluster.exemplars.map((id) => <Work key={id} id={id} pictures={pictures} />)}</ul>
              </div>
            ))}
          </div>
          <p class="small soft">Silhouette: how much nearer a group's works lie to each other than to the next group, from −1 to 1.</p>
        </section>
        {asked && <Request asked={asked} answer={answer} />}
      </div>
      <About model={model} />
    </Shell>
  );
}

function Verdict({ assignments, between }: Answer) {
  const [first, second] = assignments;
  if (!first || !second) return null;
  const share = second.q / (first.q + second.q);
  return (
    <>
      <p class="verdict">
        <strong>{between ? `Between groups ${first.cluster} and ${second.cluster}` : `Group ${first.cluster}`}</strong>
        {!between && <span class="number">{percent(first.q)}</span>}
      </p>
      {between && <p class="notice warn">The two largest shares differ by less than a tenth: the model does not decide between them.</p>}
      <figure class="between">
        <div class="scale" role="img" aria-label={`Of what the two share, ${percent(1 - share)} is group ${first.cluster}'s`}>
          <span class="here" style={{ left: `${100 * share}%` }} />
        </div>
        <figcaption class="small"><span>Group {first.cluster}</span><span class="soft">halfway</span><span>Group {second.cluster}</span></figcaption>
      </figure>
    </>
  );
}

mount(ClusterAssign);
