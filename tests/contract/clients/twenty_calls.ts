// The twenty calls of twenty_calls.py by openapi-fetch, with the types that openapi-typescript made of the documents:
// node twenty_calls.js PORTS GOOD
import { readFileSync } from "node:fs";
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths as Classify } from "./classify.js";
import type { paths as ClusterAssign } from "./cluster_assign.js";
import type { paths as EmbedLatent } from "./embed_latent.js";
import type { paths as RemoveBackground } from "./remove_background.js";

const ports: Record<string, number> = JSON.parse(process.argv[2]!);
const good = readFileSync(process.argv[3]!);
let made = 0;

const at = (name: string) => ({ baseUrl: `http://127.0.0.1:${ports[name]}` });
const blob = (data: Uint8Array | string) => new Blob([data as BlobPart]);

/** A form of one photograph; OpenAPI's binary is a string to TypeScript, and a Blob on its way. */
const one = { body: { image: "" }, bodySerializer: () => {
  const form = new FormData();
  form.append("image", blob(good), "a.png");
  return form;
} };
const raw = (data: Uint8Array | string) => ({
  body: "" as never, bodySerializer: () => blob(data), headers: { "content-type": "application/octet-stream" },
});
const many = { body: { id: ["1", "2", "3"], images: [""] }, bodySerializer: () => {
  const form = new FormData();
  for (const id of many.body.id) form.append("id", id);
  [good, "no image", good].forEach((data, n) => form.append("images", blob(data), `${"abc"[n]}.png`));
  return form;
} };

/** The data of an answer of 200. */
async function data<T>(answer: Promise<{ data?: T; error?: unknown }>): Promise<T> {
  made++;
  const { data, error } = await answer;
  assert(data !== undefined, JSON.stringify(error));
  return data;
}

async function code(answer: Promise<{ error?: { code: string } }>): Promise<string | undefined> {
  made++;
  return (await answer).error?.code;
}

type Line = { index?: number; file?: string; id?: string; error?: { code: string } };
function check(lines: Line[]): void {
  assert.deepEqual(lines.map((line) => [line.index, line.file, line.id]), [[0, "a.png", "1"], [1, "b.png", "2"], [2, "c.png", "3"]]);
  assert.deepEqual(lines.map((line) => line.error?.code), [undefined, "IMAGE_UNDECODABLE", undefined]);
}

const classify = createClient<Classify>(at("classify"));
const answer = await data(classify.POST("/v1/classifications", { params: { query: { top_k: 2, id: "record 17" } }, ...one }));
assert.deepEqual([answer.predictions.length, answer.id], [2, "record 17"]);
assert.equal((await data(classify.POST("/v1/classifications", raw(good)))).predictions[0]!.label, answer.predictions[0]!.label);
const sure = await data(classify.POST("/v1/classifications", { params: { query: { confidence: 1 } }, ...one }));
assert(sure.abstained && sure.abstention_reason === "ABSTENTION_REASON_UNSURE_OF_TYPE");
assert.equal(await code(classify.POST("/v1/classifications", raw("no image"))), "IMAGE_UNDECODABLE");
check((await data(classify.POST("/v1/classifications/batch", { params: { query: { top_k: 1 } }, ...many }))) as Line[]);
assert.equal((await data(classify.GET("/v1/models/classify"))).model.input.resize_rule, "RESIZE_RULE_SQUASH");

const cluster = createClient<ClusterAssign>(at("cluster_assign"));
const assigned = await data(cluster.POST("/v1/assignments", { params: { query: { neighbours: 2 } }, ...one }));
assert(assigned.neighbours.length === 2 && assigned.cluster.id === assigned.assignments[0]!.cluster);
check((await data(cluster.POST("/v1/assignments/batch", many))) as Line[]);
const page = await data(cluster.GET("/v1/clusters", { params: { query: { page_size: 2 } } }));
assert.equal(page.clusters.length, 2);
const next = { params: { query: { page_size: 2, page_token: page.next_page_token } } };
assert.equal((await data(cluster.GET("/v1/clusters", next))).clusters.length, 1);
assert.equal(await code(cluster.GET("/v1/clusters", { params: { query: { page_token: "none" } } })), "PARAMETER_INVALID");

const embed = createClient<EmbedLatent>(at("embed_latent"));
const point = await data(embed.POST("/v1/embeddings", { params: { query: { features: true } }, ...one }));
assert(point.latent.length && point.features.length);
check((await data(embed.POST("/v1/embeddings/batch", many))) as Line[]);
const space = await data(embed.GET("/v1/space", { params: { query: { page_size: 1 } } }));
const drawn = await data(embed.POST("/v1/decodings", { body: { latent: space.prior_mean } }));
assert((drawn as { images: string[] }).images.length === 1);
assert(new Date((await data(embed.GET("/v1/models/embed-latent"))).model.create_time).getFullYear() >= 2026);

type Mask = { mask?: string; cutout?: string; report: { empty: boolean } };
const masks = createClient<RemoveBackground>(at("remove_background"));
const mask = (await data(masks.POST("/v1/masks", one))) as Mask;
assert(mask.mask && mask.cutout === undefined && !mask.report.empty);
const both = (await data(masks.POST("/v1/masks", { params: { query: { output: "both" } }, ...one }))) as Mask;
assert(both.mask === mask.mask && both.cutout);
check((await data(masks.POST("/v1/masks/batch", { params: { query: { threshold: 0.5 } }, ...many }))) as Line[]);
const files = { ...many, bodySerializer: () => { const form = many.bodySerializer(); form.delete("id"); return form; } };
const zip = await data(masks.POST("/v1/masks/archive", { params: { query: { for: "colmap" } }, ...files, parseAs: "arrayBuffer" }));
assert.equal(Buffer.from(zip as ArrayBuffer).subarray(0, 2).toString(), "PK");
assert.equal(made, 20);
