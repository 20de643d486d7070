import { z } from "zod";
import { connectorStates } from "../status.ts";

const trouble = z.object({
  code: z.string(),
  message: z.string(),
  fix: z.string().optional(),
  since: z.iso.datetime(),
});

const connectorStatus = z.object({
  name: z.string(),
  kind: z.enum(["source", "transform", "sink"]),
  type: z.string(),
  state: z.enum(connectorStates),
  error: trouble.optional(),
  progress: z.looseObject({ phase: z.enum(["snapshot", "streaming"]) }).optional(),
  requests: z.number().optional(),
  events: z.number(),
  deadLetters: z.number(),
  subscriptions: z
    .array(
      z.looseObject({
        topic: z.string(),
        waiting: z.number(),
        oldestMs: z.number(),
        consumers: z.number(),
        state: z.enum(["live", "catching-up", "detached", "partial"]),
      }),
    )
    .optional(),
  counters: z.record(z.string(), z.number()),
});

const pipelineStatus = z.object({
  project: z.string(),
  pid: z.number(),
  host: z.string(),
  startedAt: z.iso.datetime(),
  queue: z.enum(["redis", "embedded"]),
  queueAnswers: z.boolean(),
  outage: trouble.optional(),
  durability: z.enum(["memory", "second", "disk"]),
  connectors: z.array(connectorStatus),
});

const problem = z.object({
  status: z.number(),
  code: z.string(),
  detail: z.string(),
  fix: z.string().optional(),
});

const wish = z.object({
  wanted: z.enum(["running", "paused", "stopped"]),
  restarts: z.number(),
});
const checkpoint = z.object({ checkpoint: z.unknown() });

interface Operation {
  readonly summary: string;
  readonly body?: z.ZodType;
  /** By status; a text is a description of what is no JSON. */
  readonly answers: Readonly<Record<number, z.ZodType | string>>;
}

const order = (summary: string): Operation => ({ summary, answers: { 202: wish } });

/** Every operation of the admin API, by path and method. `routes.ts` has what they do. */
export const operations: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  "/healthz": {
    GET: { summary: "The process answers.", answers: { 200: z.object({ ok: z.literal(true) }) } },
  },
  "/readyz": {
    GET: {
      summary:
        "200 once every connector runs, stands by, is paused or has ended, and while queue and state can be used.",
      answers: {
        200: z.object({ ready: z.literal(true), waitingFor: z.array(z.string()) }),
        503: z.object({
          ready: z.literal(false),
          waitingFor: z.array(z.string()),
          outage: trouble.optional(),
        }),
      },
    },
  },
  "/metrics": {
    GET: { summary: "What it measures.", answers: { 200: "Prometheus' text format 0.0.4." } },
  },
  "/openapi.json": {
    GET: { summary: "This document.", answers: { 200: z.looseObject({ openapi: z.string() }) } },
  },
  "/connectors": {
    GET: { summary: "What the process is doing.", answers: { 200: pipelineStatus } },
  },
  "/connectors/{name}": {
    GET: { summary: "What one connector is doing.", answers: { 200: connectorStatus } },
    DELETE: {
      summary:
        "Take a stopped connector away: what it made at its origin, its subscriptions, dead letters and state.",
      answers: {
        200: z.looseObject({
          entries: z.number(),
          deadLetters: z.number(),
          subscriptions: z.array(z.object({ topic: z.string(), waiting: z.number() })),
        }),
        409: problem,
      },
    },
  },
  "/connectors/{name}/pause": {
    POST: order(
      "Take no new work until resumed, in every process; lease and connections are kept.",
    ),
  },
  "/connectors/{name}/resume": { POST: order("Go on.") },
  "/connectors/{name}/stop": {
    POST: order("Let go of everything until resumed, in every process."),
  },
  "/connectors/{name}/restart": { POST: order("Close and start again, in every process.") },
  "/connectors/{name}/snapshot": {
    POST: {
      summary: "Ask a source for a snapshot.",
      body: z.object({ collections: z.array(z.string()).optional() }),
      answers: {
        202: z.object({ request: z.looseObject({ id: z.string() }), isNew: z.boolean() }),
        400: problem,
        409: problem,
      },
    },
  },
  "/connectors/{name}/checkpoint": {
    GET: { summary: "Where a source goes on.", answers: { 200: checkpoint, 409: problem } },
    PUT: {
      summary: "Have a stopped source go on from there.",
      body: checkpoint,
      answers: { 200: checkpoint, 400: problem, 409: problem },
    },
    DELETE: {
      summary: "Have a stopped source begin anew.",
      answers: { 200: checkpoint, 409: problem },
    },
  },
};

/** What any request may be answered with besides. */
const always: Readonly<Record<number, z.ZodType>> = {
  401: problem,
  403: problem,
  404: problem,
  405: problem,
  413: problem,
  500: problem,
  503: problem,
};

/** The description that `/openapi.json` serves. */
export const openApi = {
  openapi: "3.1.0",
  info: {
    title: "Sluice admin API",
    version: "1",
    description:
      "Served by every `sluice start`. On loopback it asks for no token, and refuses pages of a browser.",
    license: { name: "Apache-2.0", identifier: "Apache-2.0" },
  },
  components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
  security: [{}, { token: [] }],
  paths: Object.fromEntries(
    Object.entries(operations).map(([path, methods]) => [
      path,
      {
        ...(path.includes("{name}") && {
          parameters: [{ name: "name", in: "path", required: true, schema: { type: "string" } }],
        }),
        ...Object.fromEntries(
          Object.entries(methods).map(([method, operation]) => [
            method.toLowerCase(),
            described(operation),
          ]),
        ),
      },
    ]),
  ),
} as const;

function described({ summary, body, answers }: Operation): object {
  return {
    summary,
    ...(body && { requestBody: { content: jsonOf(body) } }),
    responses: Object.fromEntries(
      Object.entries({ ...always, ...answers }).map(([code, answer]) => [
        code,
        typeof answer === "string"
          ? { description: answer, content: { "text/plain": {} } }
          : { description: answer === problem ? "Refused." : summary, content: jsonOf(answer) },
      ]),
    ),
  };
}

function jsonOf(schema: z.ZodType): object {
  const { $schema: _, ...json } = z.toJSONSchema(schema);
  return { "application/json": { schema: json } };
}
