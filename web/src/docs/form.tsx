import { useContext, useEffect, useId, useState } from "preact/hooks";
import { KeyContext } from "../kit/api";
import { quoted, shellName, shortened } from "../kit/request";
import { Words } from "./words";
import { type Described, example, FORM, isFile, JSON_BODY, type Place, range, type Schema } from "./document";

/** What stands in a form before anybody writes: the service's own samples, so that the first press is answered. */
const SAMPLES: Record<string, string[]> = { image: ["statue.jpg"], images: ["statue.jpg", "bust.jpg"], masks: ["statue_mask.png"] };

interface Told {
  status: number;
  seconds: number;
  type: string;
  blob: Blob;
  text: string;
}

function Control({ name, schema, value, onValue }: { name: string; schema: Schema; value: string; onValue: (value: string) => void }) {
  const id = useId();
  const choices = schema.enum ?? (schema.type === "boolean" ? ["true", "false"] : null);
  const number = schema.type === "integer" || schema.type === "number";
  const usual = schema.default === undefined ? "" : `default: ${String(schema.default)}`;
  return (
    <div class="field">
      <label for={id}><code>{name}</code></label>
      <div>
        {choices ? (
          <select id={id} value={value} onChange={(event) => onValue(event.currentTarget.value)}>
            <option value="">{usual || "(not sent)"}</option>
            {choices.map((choice) => <option key={choice} value={choice}>{choice}</option>)}
          </select>
        ) : (
          <input
            id={id}
            type="text"
            inputMode={number ? "decimal" : "text"}
            placeholder={usual}
            value={value}
            onInput={(event) => onValue(event.currentTarget.value)}
          />
        )}
        <p class="small soft"><Words>{[schema.description?.replace(/\.$/, ""), range(schema)].filter(Boolean).join("; ")}</Words></p>
      </div>
    </div>
  );
}

function Files({ name, schema, files, onFiles }: { name: string; schema: Schema; files: File[] | null; onFiles: (files: File[]) => void }) {
  const id = useId();
  const sample = SAMPLES[name];
  return (
    <div class="field">
      <label for={id}><code>{name}</code></label>
      <div>
        <input id={id} type="file" multiple={schema.type === "array"} onChange={(event) => onFiles([...(event.currentTarget.files ?? [])])} />
        <p class="small soft">{schema.description}{!files && sample && ` Until you choose: ${sample.join(", ")}, the service's own.`}</p>
      </div>
    </div>
  );
}

async function samples(names: string[]): Promise<File[]> {
  return Promise.all(names.map(async (name) => new File([await (await fetch(`samples/${name}`)).blob()], name)));
}

/** The form of one operation: its parameters once each, its body, the same as a curl command, and what came back. */
export function Try({ place: { path, method, operation }, document }: { place: Place; document: Described }) {
  const { key, refused } = useContext(KeyContext);
  const content = operation.requestBody?.content ?? {};
  const fields = content[FORM]?.schema.properties ?? {};
  const whole = !content[FORM] && content[JSON_BODY];
  const media = Object.keys(operation.responses["200"]?.content ?? {});
  const [values, setValues] = useState<Record<string, string>>({});
  const [files, setFiles] = useState<Record<string, File[]>>({});
  const [body, setBody] = useState(() => (whole ? JSON.stringify(example(document, whole.schema)) : ""));
  const [accept, setAccept] = useState("");
  const [told, setTold] = useState<Told | null>(null);
  const [busy, setBusy] = useState(false);

  const query = new URLSearchParams((operation.parameters ?? []).flatMap(({ name }) => (values[name] ? [[name, values[name]]] : [])));
  const address = path.slice(1) + (query.size ? `?${query.toString()}` : "");
  const isList = (name: string) => fields[name]?.type === "array";
  // An id stands before its photograph, and a mask after it: lists are sent in turns.
  const lists = Object.keys(fields).filter(isList);
  const chosen = (name: string) => files[name]?.map((file) => file.name) ?? (isFile(fields[name]!) ? (SAMPLES[name] ?? []) : (values[name] ?? "").split(",").map((one) => one.trim()).filter(Boolean));
  const examples = lists.includes("masks");
  const counted = (name: string) => (examples && !files["images"] ? chosen(name).slice(0, 1) : chosen(name));
  const turns = Math.max(0, ...lists.map((name) => counted(name).length));

  async function form(): Promise<FormData> {
    const made = new FormData();
    const given: Record<string, File[]> = {};
    for (const name of Object.keys(fields)) if (isFile(fields[name]!)) given[name] = files[name] ?? (await samples(counted(name)));
    for (const name of Object.keys(fields)) if (!isList(name) && !isFile(fields[name]!) && values[name]) made.append(name, values[name]);
    for (const name of Object.keys(fields)) if (!isList(name)) for (const file of given[name] ?? []) made.append(name, file);
    for (let turn = 0; turn < turns; turn++) {
      for (const name of lists) {
        const one = given[name]?.[turn] ?? (given[name] ? undefined : counted(name)[turn]);
        if (one) made.append(name, one);
      }
    }
    return made;
  }
  function command(): string {
    const parts = ["curl"];
    if (key) parts.push('-H "x-api-key: $MAQUETTE_KEY"');
    if (accept) parts.push(`-H ${quoted(`accept: ${accept}`)}`);
    if (whole) parts.push("-H 'content-type: application/json'", `-d ${quoted(body)}`);
    for (const name of Object.keys(fields)) {
      if (isList(name)) continue;
      if (isFile(fields[name]!)) parts.push(...chosen(name).map((file) => `-F ${quoted(`${name}=@${shellName(file)}`)}`));
      else if (values[name]) parts.push(`-F ${quoted(`${name}=${values[name]}`)}`);
    }
    for (let turn = 0; turn < turns; turn++) {
      for (const name of lists) {
        const one = counted(name)[turn];
        if (one) parts.push(`-F ${quoted(isFile(fields[name]!) ? `${name}=@${shellName(one)}` : `${name}=${one}`)}`);
      }
    }
    return [...parts, quoted(new URL(address, window.document.baseURI).href)].join(" \\\n  ");
  }
  async function send() {
    setBusy(true);
    const headers: Record<string, string> = { ...(key ? { "x-api-key": key } : {}), ...(accept ? { accept } : {}), ...(whole ? { "content-type": JSON_BODY } : {}) };
    const started = performance.now();
    try {
      const init: RequestInit = { method, headers };
      if (method === "POST") init.body = whole ? body : await form();
      const response = await fetch(address, init);
      const type = response.headers.get("content-type")?.split(";")[0] ?? "";
      const blob = await response.blob();
      const seconds = (performance.now() - started) / 1000;
      if (response.status === 401) refused();
      setTold({ status: response.status, seconds, type, blob, text: /json|text|xml/.test(type) ? await blob.text() : "" });
    } catch {
      setTold({ status: 0, seconds: 0, type: "", blob: new Blob(), text: "The service does not answer; is it still running?" });
    }
    setBusy(false);
  }

  return (
    <form
      class="stack try-it"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      {(operation.parameters ?? []).map(({ name, description, schema }) => (
        <Control key={name} name={name} schema={{ ...schema, description }} value={values[name] ?? ""} onValue={(value) => setValues({ ...values, [name]: value })} />
      ))}
      {Object.entries(fields).map(([name, schema]) =>
        isFile(schema)
          ? <Files key={name} name={name} schema={schema} files={files[name] ?? null} onFiles={(given) => setFiles({ ...files, [name]: given })} />
          : <Control key={name} name={name} schema={schema.type === "array" ? { ...schema, description: `${schema.description ?? ""} Several: between commas.` } : schema} value={values[name] ?? ""} onValue={(value) => setValues({ ...values, [name]: value })} />,
      )}
      {whole && (
        <label class="field">
          <code>body</code>
          <textarea rows={3} value={body} onInput={(event) => setBody(event.currentTarget.value)} />
        </label>
      )}
      {media.length > 1 && (
        <label class="field">
          <code>accept</code>
          <select value={accept} onChange={(event) => setAccept(event.currentTarget.value)}>
            <option value="">default: {media[0]}</option>
            {media.slice(1).map((each) => <option key={each} value={each}>{each}</option>)}
          </select>
        </label>
      )}
      <div class="row"><button class="first" disabled={busy}>{busy ? "Asking ..." : "Send"}</button></div>
      <pre class="well" tabIndex={0} role="region" aria-label="As a curl command"><code>{command()}</code></pre>
      <div aria-live="polite">{told && <Answer told={told} name={operation.operationId} />}</div>
    </form>
  );
}

function Answer({ told, name }: { told: Told; name: string }) {
  const [address, setAddress] = useState("");
  useEffect(() => {
    const made = URL.createObjectURL(told.blob);
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [told]);
  let text = told.text.length > 20_000 ? `${told.text.slice(0, 20_000)}\n... (${told.text.length.toLocaleString("en")} characters)` : told.text;
  if (/json$/.test(told.type) && !told.type.includes("ndjson")) text = shortened(JSON.parse(told.text));
  return (
    <div class="stack">
      <p class="row">
        <strong class={told.status === 200 ? "good" : "bad"} data-status>{told.status || "No answer"}</strong>
        <span class="soft small number">{told.type}, {told.blob.size.toLocaleString("en")} bytes, {told.seconds.toFixed(2)} s</span>
        {address && told.blob.size > 0 && <a href={address} download={name}>Save</a>}
      </p>
      {told.type.startsWith("image/") && address && <img class="well" src={address} alt="The picture that the service answered" />}
      {text && <pre class="well" tabIndex={0} role="region" aria-label="The answer"><code>{text}</code></pre>}
    </div>
  );
}
