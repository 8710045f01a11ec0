import { useEffect, useState } from "preact/hooks";
import { ask, useAnswer } from "../kit/api";
import { mount, ProblemNotice, Shell } from "../kit/shell";
import { type Described, type Place, places, resolved, type Schema, typeOf } from "./document";
import { Try } from "./form";
import { Words } from "./words";
import "../base.css";
import "./docs.css";

/** The fields of an answer, those of its parts within them. */
function Fields({ document, schema, depth = 0 }: { document: Described; schema: Schema; depth?: number }) {
  const { properties } = resolved(document, schema);
  if (!properties) return null;
  return (
    <dl class="fields">
      {Object.entries(properties).map(([name, field]) => {
        const inner = field.type === "array" && field.items ? field.items : field;
        const described = field.description ?? resolved(document, field).description;
        return (
          <div key={name}>
            <dt><code>{name}</code> <span class="soft small">{typeOf(document, field)}</span></dt>
            <dd class="small">
              <Words>{described ?? ""}</Words>
              {depth < 3 && resolved(document, inner).properties && <Fields document={document} schema={inner} depth={depth + 1} />}
            </dd>
          </div>
        );
      })}
    </dl>
  );
}

function Card({ place, document, first }: { place: Place; document: Described; first: boolean }) {
  const { path, method, operation } = place;
  const id = operation.operationId;
  const [open, setOpen] = useState(() => first || location.hash === `#${id}`);
  const answer = Object.values(operation.responses["200"]?.content ?? {})[0]?.schema;
  const shape = answer && (answer.contentSchema ?? (answer.type === "array" ? answer.items : answer));
  useEffect(() => {
    const follow = () => location.hash === `#${id}` && setOpen(true);
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }, [id]);
  return (
    <details class="card operation" id={id} open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <span class={`method ${method.toLowerCase()}`}>{method}</span> <code class="path">{path}</code> <span class="what">{operation.summary}</span>
      </summary>
      {open && (
        <div class="inside">
          <div class="stack">
            <p><Words>{operation.description}</Words></p>
            <Try place={place} document={document} />
          </div>
          <div class="stack">
            {shape && resolved(document, shape).properties && (
              <>
                <h3>The answer</h3>
                <Fields document={document} schema={shape} />
              </>
            )}
            <h3>Statuses</h3>
            <dl class="statuses small">
              {Object.entries(operation.responses).map(([status, { description }]) => (
                <div key={status}><dt class="number">{status}</dt><dd>{description}</dd></div>
              ))}
            </dl>
          </div>
        </div>
      )}
    </details>
  );
}

function Docs() {
  const outcome = useAnswer<Described>(async (key, signal) => (await ask("docs.json", key, { signal })).json(), []);
  const document = outcome.answer;
  useEffect(() => {
    if (document) window.document.title = `${document.info.title}: the API`;
  }, [document]);
  if (!document) return <Shell here="docs" title="The API" lead="">{outcome.problem && <ProblemNotice problem={outcome.problem} />}</Shell>;
  const every = places(document);
  const [old, rest] = [every.filter(({ operation }) => operation.deprecated), every.filter(({ operation }) => !operation.deprecated)];
  const probes = rest.filter(({ operation }) => operation.tags.includes("operations"));
  const own = rest.filter((place) => !probes.includes(place));
  const sections: [string, Place[]][] = [["Questions", own], ["Probes and metrics", probes], ["Paths on their way out", old]];
  return (
    <Shell
      here="docs"
      title={`The API of ${document.info.title.replace("Maquette ", "")}`}
      lead={<>{document.info.description} Version {document.info.version} of the contract, as <a href="docs.json">OpenAPI</a>; the same over gRPC, with reflection.</>}
    >
      <div class="sections">
        {sections.map(([title, each]) => each.length > 0 && (
          <section class="stack" key={title} aria-label={title}>
            <h2>{title}</h2>
            {each.map((place) => <Card key={place.method + place.path} place={place} document={document} first={place === own[0]} />)}
          </section>
        ))}
      </div>
    </Shell>
  );
}

mount(Docs);
