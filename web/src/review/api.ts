/** What the local page and `maquette review` say to each other (maquette/review/page/). */

export type Verdict = "" | "accepted" | "rejected";

export interface MaskItem {
  index: number;
  name: string;
  verdict: Verdict;
  measured: boolean;
  mask: boolean;
  coverage: number | null;
  persons: boolean;
  reasons: string[];
  kinds: string[];
  rank: [number, number];
  place: number;
  stamp: string;
  undo: number;
  redo: number;
  why: string;
  differs: number;
}

export interface TypeItem {
  index: number;
  name: string;
  labels: string[];
  predictions: [string, number][];
  abstained: boolean;
  error: string;
}

export interface Rest {
  state: "idle" | "learning" | "making" | "done" | "failed" | "stopped";
  total: number;
  done: number;
  failed: number;
  sentence: string;
  errors: string[];
  changed: number;
}

interface AnySet<Item> {
  session: string;
  title: string;
  folder: string;
  revision: number;
  total: number;
  items: Item[];
}

export interface MaskSet extends AnySet<MaskItem> {
  kind: "masks";
  measured: number;
  rest: Rest;
}

export interface TypeSet extends AnySet<TypeItem> {
  kind: "types";
  types: [string, string][];
  asking: boolean;
  sentence: string;
}

/** A place that a person marked; vertices in pixels of the upright photograph. */
export interface Mark {
  kind: "point" | "stroke" | "paint";
  mark: "object" | "background";
  vertices: [number, number][];
  width?: number;
}

export interface Shape {
  width: number;
  height: number;
  tile: number;
  levels: number;
}

export interface One<Item> extends Shape {
  item: Item;
  marks?: Mark[];
  neighbours?: string[];
}

export class Refused extends Error {
  constructor(
    readonly status: number,
    detail: string,
  ) {
    super(detail);
  }
}

const GONE = "maquette review does not answer any more: start the command again. What you did is on disk.";

async function answered<T>(asked: Promise<Response>): Promise<T> {
  let response: Response;
  try {
    response = await asked;
  } catch {
    throw new Refused(0, GONE);
  }
  const body = (await response.json()) as T & { detail?: string };
  if (!response.ok) throw new Refused(response.status, body.detail ?? `The page was answered ${response.status}.`);
  return body;
}

export const ask = <T>(path: string): Promise<T> => answered<T>(fetch(`api/${path}`));

export const change = <T>(path: string, body: object = {}): Promise<T> =>
  answered<T>(fetch(`api/${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }));

export const photograph = (index: number) => `api/photographs/${index}`;
