import { useContext, useState } from "preact/hooks";
import { KeyContext } from "./api";
import { Tabs } from "./tabs";

/** A question about one photograph, as every way to ask it needs it. */
export interface Asked {
  path: string;
  file: string;
  fields: Record<string, string | number | boolean | object>;
}

export const KEY = "MAQUETTE_KEY";

function text(value: string | number | boolean | object): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

export function quoted(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;
}

export function address(path: string): string {
  return new URL(path, document.baseURI).href;
}

/** A file's name after curl's `@`, in quotes where a comma or a semicolon in it would mean something else. */
export function shellName(file: string): string {
  return /^[\w.-]+$/.test(file) ? file : `"${file.replace(/["\\]/g, "\\$&")}"`;
}

export function asCurl({ path, file, fields }: Asked, keyed: boolean): string {
  const parts = [`image=@${shellName(file)}`, ...Object.entries(fields).map(([field, value]) => `${field}=${text(value)}`)];
  const lines = ["curl", ...(keyed ? [`-H "x-api-key: $${KEY}"`] : []), ...parts.map((part) => `-F ${quoted(part)}`), address(path)];
  return lines.join(" \\\n  ");
}

export function asPython({ path, file, fields }: Asked, keyed: boolean): string {
  const data = Object.entries(fields).map(([field, value]) => `"${field}": ${JSON.stringify(text(value))}`);
  return [
    ...(keyed ? ["import os", ""] : []),
    "import httpx",
    "",
    `with open(${JSON.stringify(file)}, "rb") as photograph:`,
    "    answer = httpx.post(",
    `        ${JSON.stringify(address(path))},`,
    '        files={"image": photograph},',
    ...(data.length ? [`        data={${data.join(", ")}},`] : []),
    ...(keyed ? [`        headers={"x-api-key": os.environ["${KEY}"]},`] : []),
    "        timeout=60,",
    "    )",
    "print(answer.raise_for_status().text)",
  ].join("\n");
}

function asJson({ path, fields }: Asked): string {
  const body = JSON.stringify({ image: "(the photograph in base64)", ...fields }, null, 2);
  return `POST ${address(path)}\ncontent-type: application/json\n\n${body}`;
}

/** An answer as text; pictures and long vectors are cut, and said to be. */
export function shortened(answer: unknown): string {
  const cut = (_: string, value: unknown): unknown => {
    if (typeof value === "string" && value.length > 400) return `${value.slice(0, 40)}... (${value.length.toLocaleString("en")} characters)`;
    if (Array.isArray(value) && value.length > 12) return [...value.slice(0, 8), `... (${value.length} in all)`];
    return value;
  };
  return JSON.stringify(answer, cut, 2);
}

export function Code({ label, children }: { label: string; children: string }) {
  const [copied, setCopied] = useState(false);
  return (
    <div class="code">
      <pre tabIndex={0} aria-label={label} role="region"><code>{children}</code></pre>
      {/* There is no clipboard for pages without TLS, except on this machine. */}
      {"clipboard" in navigator && (
        <button
          type="button"
          onClick={() => {
            void navigator.clipboard.writeText(children).then(() => setCopied(true));
            setTimeout(() => setCopied(false), 1500);
          }}
        >
          {copied ? "Copied" : "Copy"}
        </button>
      )}
    </div>
  );
}

export function Request({ asked, answer }: { asked: Asked; answer: unknown }) {
  const keyed = useContext(KeyContext).key !== "";
  return (
    <section class="card stack request" aria-labelledby="request">
      <h2 id="request">The request that makes this answer</h2>
      <Tabs label="Forms of the request" names={["curl", "Python", "JSON", "Answer"]}>
        <Code label="As a curl command">{asCurl(asked, keyed)}</Code>
        <Code label="As a Python program">{asPython(asked, keyed)}</Code>
        <Code label="As a JSON request">{asJson(asked)}</Code>
        <Code label="The answer">{answer ? shortened(answer) : "(none yet)"}</Code>
      </Tabs>
    </section>
  );
}
