import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";

/** What RFC 9457 says of a failure, and what a page itself may have to say. */
export interface Problem {
  code: string;
  detail: string;
  status: number;
}

export class Refused extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

/** The key that the person gave; it stays in this tab (`sessionStorage`) and is sent to this service alone. */
export interface Keys {
  key: string;
  wanted: boolean;
  give: (key: string) => void;
  refused: () => void;
}

export const KeyContext = createContext<Keys>({ key: "", wanted: false, give: () => undefined, refused: () => undefined });
const PLACE = "maquette-key";

export function useStoredKey(): Keys {
  const [key, setKey] = useState(() => sessionStorage.getItem(PLACE) ?? "");
  const [wanted, setWanted] = useState(false);
  return {
    key,
    wanted,
    give: (given) => {
      sessionStorage.setItem(PLACE, given);
      setKey(given);
      setWanted(false);
    },
    refused: () => setWanted(true),
  };
}

/** `path` is relative, for a service may lie below a prefix. Throws {@link Refused}. */
export async function ask(path: string, key: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (key) headers.set("x-api-key", key);
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Refused({ code: "UNREACHABLE", detail: "The service does not answer; is it still running?", status: 0 });
  }
  if (response.ok) return response;
  let problem: Problem = { code: "", detail: `The service answered ${response.status}.`, status: response.status };
  if (response.headers.get("content-type")?.includes("json")) problem = { ...problem, ...(await response.json()) };
  throw new Refused(problem);
}

export interface Outcome<Answer> {
  answer: Answer | null;
  problem: Problem | null;
  busy: boolean;
}

/**
 * Asks whenever one of `changes` does, and again when a key was given; what is late is dropped. `question` is null while there is
 * nothing to ask. The last answer stays until the next one, unless `photograph` is another.
 */
export function useAnswer<Answer>(
  question: ((key: string, signal: AbortSignal) => Promise<Answer>) | null,
  changes: unknown[],
  photograph: unknown = null,
): Outcome<Answer> {
  const { key, refused } = useContext(KeyContext);
  const [outcome, setOutcome] = useState<Outcome<Answer> & { of: unknown }>({ answer: null, problem: null, busy: false, of: null });
  useEffect(() => {
    if (!question) {
      setOutcome({ answer: null, problem: null, busy: false, of: photograph });
      return undefined;
    }
    const ending = new AbortController();
    setOutcome((last) => ({ answer: last.of === photograph ? last.answer : null, problem: null, busy: true, of: photograph }));
    question(key, ending.signal).then(
      (answer) => ending.signal.aborted || setOutcome({ answer, problem: null, busy: false, of: photograph }),
      (error: unknown) => {
        if (ending.signal.aborted) return;
        const problem = error instanceof Refused ? error.problem : { code: "", detail: String(error), status: 0 };
        if (problem.status === 401) refused();
        setOutcome((last) => ({ answer: last.of === photograph ? last.answer : null, problem, busy: false, of: photograph }));
      },
    );
    return () => ending.abort();
  }, [...changes, key]);
  // Between another photograph and its effect a picture may be drawn: not with the answer to the one before.
  return outcome.of === photograph ? outcome : { answer: null, problem: null, busy: question !== null };
}

export interface Model {
  name: string;
  version: string;
  architecture: string;
  labels: { id: string; name: string }[];
  training_data: { name: string; items: number; licence: string }[];
  intended_use: string;
  not_for: string;
  precision: string;
}

export function useModel(service: string): Outcome<Model> {
  return useAnswer<Model>(
    async (key, signal) => ((await (await ask(`v1/models/${service.replaceAll("_", "-")}`, key, { signal })).json()) as { model: Model }).model,
    [service],
  );
}

/** What base64 says, as a picture that the policy lets a page show. The caller revokes the address. */
export function fromBase64(text: string, type = "image/png"): Blob {
  return new Blob([Uint8Array.from(atob(text), (character) => character.charCodeAt(0))], { type });
}

/** An address for a blob, given back when the blob is another. */
export function useAddress(blob: Blob | null): string {
  const [address, setAddress] = useState("");
  useEffect(() => {
    if (!blob) {
      setAddress("");
      return undefined;
    }
    const made = URL.createObjectURL(blob);
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [blob]);
  return address;
}
