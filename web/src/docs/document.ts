/** The parts of an OpenAPI document that the page shows, as `services/common/openapi.py` writes them. */
export interface Schema {
  $ref?: string;
  type?: string | string[];
  format?: string;
  description?: string;
  enum?: string[];
  default?: unknown;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  maxLength?: number;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  contentSchema?: Schema;
}

export interface Operation {
  operationId: string;
  tags: string[];
  summary: string;
  description: string;
  deprecated?: boolean;
  security?: unknown[];
  parameters?: { name: string; description: string; schema: Schema }[];
  requestBody?: { content: Record<string, { schema: Schema }> };
  responses: Record<string, { description: string; content?: Record<string, { schema: Schema }> }>;
}

export interface Described {
  info: { title: string; version: string; description: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

export interface Place {
  path: string;
  method: string;
  operation: Operation;
}

export const FORM = "multipart/form-data";
export const JSON_BODY = "application/json";

export function places(document: Described): Place[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
}

export function resolved(document: Described, schema: Schema): Schema {
  return schema.$ref ? (document.components.schemas[schema.$ref.split("/").pop()!] ?? {}) : schema;
}

/** A schema's type in a few words. */
export function typeOf(document: Described, schema: Schema): string {
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.$ref) return resolved(document, schema).enum?.join(" | ") ?? schema.$ref.split("/").pop()!;
  if (schema.type === "array" && schema.items) return `list of ${typeOf(document, schema.items)}`;
  const base = Array.isArray(schema.type) ? schema.type.join(" | ") : (schema.type ?? "any");
  if (schema.format === "binary") return "file";
  return schema.format === "byte" ? "base64" : base;
}

/** What a number may be, as the document says it. */
export function range({ minimum, maximum, exclusiveMinimum, exclusiveMaximum, maxLength }: Schema): string {
  if (maxLength !== undefined) return `at most ${maxLength} characters`;
  const low = minimum !== undefined ? `${minimum}` : exclusiveMinimum !== undefined ? `above ${exclusiveMinimum}` : "";
  const high = maximum !== undefined ? `${maximum}` : exclusiveMaximum !== undefined ? `below ${exclusiveMaximum}` : "";
  if (low && high) return `${low}${minimum !== undefined && maximum !== undefined ? " to " : ", "}${high}`;
  return low ? (minimum !== undefined ? `${low} or more` : low) : high && (maximum !== undefined ? `at most ${high}` : high);
}

export function isFile({ format, type, items }: Schema): boolean {
  return format === "binary" || (type === "array" && items?.format === "binary");
}

/** A first value of a JSON body, which the service takes. */
export function example(document: Described, schema: Schema): unknown {
  const { properties, required, type, items } = resolved(document, schema);
  if (properties) {
    const names = required ?? Object.keys(properties);
    const wanted = names.filter((name) => properties[name]?.type === "array" || !required);
    return Object.fromEntries((wanted.length ? wanted : names).map((name) => [name, example(document, properties[name]!)]));
  }
  if (type === "array") return items?.type === "number" ? [0, 0] : [];
  return { string: "", number: 0, integer: 0, boolean: false }[String(type)] ?? null;
}
