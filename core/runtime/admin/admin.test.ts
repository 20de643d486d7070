import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import type { Pipeline } from "../../config/pipeline.ts";
import { defineSink, defineSource } from "../../connector.ts";
import { upserted } from "../../event.ts";
import { version } from "../../version.ts";
import { startPipeline, type Running } from "../runner.ts";
import { operations } from "./openapi.ts";
import { routes } from "./routes.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };

const source = defineSource({
  name: "numbers",
  version: "1.0.0",
  summary: "",
  config: z.strictObject({}),
  checkpoint: z.strictObject({ n: z.int() }),
  emits: ["dev.sluice.record."],
  capabilities: { deletes: false, snapshotOnRequest: true, replays: true, forgets: false },
  async *read({ checkpoint, signal, progress }) {
    progress({ phase: "streaming", lag: "70 bytes", lagBytes: 70, lagSeconds: 0 });
    for (let n = (checkpoint?.n ?? 0) + 1; !signal.aborted; n++) {
      const event = upserted({
        source: '/numbers"\\\n',
        key: n,
        subject: String(n),
        version: version({ epoch: 1, position: BigInt(n), rank: 1, tail: 0 }),
        time: new Date().toISOString(),
        op: "create",
        after: { n },
        meta: {},
      });
      yield { events: [event], checkpoint: { n } };
      await sleep(20);
    }
  },
});

const sink = defineSink({
  name: "count",
  version: "1.0.0",
  summary: "",
  config: z.strictObject({}),
  accepts: [""],
  open: async ({ meter }) => ({
    write: async (events) => {
      meter("odd", events.length, { of: 'a "label"\n' });
      meter("embed_calls", 2);
      meter("upsert_calls", 1);
      meter("age_seconds_bucket", events.length, { le: "+Inf" });
      meter("age_seconds_sum", 0.5);
      meter("age_seconds_count", events.length);
    },
    close: async () => {},
  }),
});

let dir = "";
const running: Running[] = [];
async function start(token?: string, host = "127.0.0.1"): Promise<Running> {
  const place = { kind: "embedded", dir: join(dir, String(running.length)) } as const;
  const pipeline: Pipeline = {
    project: "managed",
    queue: place,
    state: place,
    topics: { numbers: { partitions: 1, optional: false, maxWaiting: 10 } },
    connectors: [
      { kind: "source", name: "numbers", source, config: {}, to: "numbers" },
      {
        kind: "sink",
        name: "count",
        sink,
        config: {},
        from: ["numbers"],
        transforms: [],
        retry: { attempts: 3, maxDelayMs: 50 },
      },
    ],
  };
  const one = await startPipeline(pipeline, {
    log,
    admin: { host, port: 0, ...(token !== undefined && { token }) },
  });
  running.push(one);
  return one;
}

let url = "";
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "sluice-admin-"));
  ({ url } = await start());
});
afterAll(async () => {
  await Promise.all(running.map((one) => one.stop(5_000)));
  rmSync(dir, { recursive: true, force: true });
});

interface Call {
  readonly method: string;
  readonly path: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Not `fetch`, which mends paths and refuses methods. */
async function call(base: string, { method, path, body = "", headers = {} }: Call) {
  const { hostname, port } = new URL(base);
  return await new Promise<{ code: number; text: string; type: string; allow: string }>(
    (resolve, reject) => {
      const sent = request({ hostname, port, method, path, headers }, (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (piece: string) => (text += piece));
        response.on("end", () => {
          const { "content-type": type = "", allow = "" } = response.headers;
          resolve({ code: response.statusCode ?? 0, text, type, allow });
        });
        response.on("error", reject);
      });
      sent.on("error", reject);
      sent.end(body);
    },
  );
}

describe("the admin API is what its OpenAPI description says", () => {
  it("has the same operations", () => {
    const described = Object.entries(operations).map(([path, methods]) => [
      path,
      Object.keys(methods),
    ]);
    const served = routes.map(({ path, methods }) => [path, Object.keys(methods)]);
    expect(Object.fromEntries(described)).toEqual(Object.fromEntries(served));
  });

  const stop: Call = { method: "POST", path: "/connectors/numbers/stop" };
  const calls: readonly (readonly [what: string, call: Call, code: number])[] = [
    ["health", { method: "GET", path: "/healthz" }, 200],
    ["a description", { method: "GET", path: "/openapi.json" }, 200],
    ["metrics", { method: "GET", path: "/metrics" }, 200],
    ["everything", { method: "GET", path: "/connectors" }, 200],
    ["one", { method: "GET", path: "/connectors/count" }, 200],
    ["a checkpoint", { method: "GET", path: "/connectors/numbers/checkpoint" }, 200],
    ["a sink's", { method: "GET", path: "/connectors/count/checkpoint" }, 409],
    ["what runs to be removed", { method: "DELETE", path: "/connectors/numbers" }, 409],
    ["what runs to begin anew", { method: "DELETE", path: "/connectors/numbers/checkpoint" }, 409],
    ["a snapshot", { method: "POST", path: "/connectors/numbers/snapshot" }, 202],
    [
      "one of tables",
      { method: "POST", path: "/connectors/numbers/snapshot", body: '{"collections":["a"]}' },
      202,
    ],
    [
      "one of nonsense",
      { method: "POST", path: "/connectors/numbers/snapshot", body: '{"colections":["a"]}' },
      400,
    ],
    ["a sink's snapshot", { method: "POST", path: "/connectors/count/snapshot" }, 409],
    ["a pause", { method: "POST", path: "/connectors/count/pause" }, 202],
    ["a resume", { method: "POST", path: "/connectors/count/resume" }, 202],
    ["a restart", { method: "POST", path: "/connectors/count/restart" }, 202],
    ["a stop", stop, 202],
    [
      "a checkpoint of nonsense",
      { method: "PUT", path: "/connectors/numbers/checkpoint", body: '{"checkpoint":{"m":1}}' },
      400,
    ],
    ["no JSON", { method: "PUT", path: "/connectors/numbers/checkpoint", body: "{" }, 400],
    [
      "another checkpoint",
      { method: "PUT", path: "/connectors/numbers/checkpoint", body: '{"checkpoint":{"n":900}}' },
      200,
    ],
    ["a new beginning", { method: "DELETE", path: "/connectors/numbers/checkpoint" }, 200],
    ["a removal", { method: "DELETE", path: "/connectors/numbers" }, 200],
    ["nobody", { method: "GET", path: "/connectors/nobody" }, 404],
    ["nothing", { method: "GET", path: "/nothing" }, 404],
    ["a wrong method", { method: "PUT", path: "/connectors" }, 405],
  ];
  it.each(calls)("asked for %s", async (_, asked, code) => {
    const answer = await call(url, asked);
    expect([answer.code, answer.text]).toEqual([code, expect.any(String)]);
    const found = routes.find(({ pattern }) => pattern.test(asked.path));
    const described = found && operations[found.path]?.[asked.method]?.answers[code];
    if (typeof described === "string") return expect(answer.type).toContain("text/plain");
    const schema =
      described ?? z.object({ status: z.literal(code), code: z.string(), detail: z.string() });
    expect(schema.safeParse(JSON.parse(answer.text)).error).toBe(undefined);
  });
});

it("tells Prometheus what it measures", async () => {
  const { url: base } = await start();
  await expect
    .poll(async () => (await call(base, { method: "GET", path: "/metrics" })).text, {
      timeout: 10_000,
    })
    .toMatch(/sluice_events_total\{[^}]*connector="count"[^}]*\} [1-9]/);
  const { text } = await call(base, { method: "GET", path: "/metrics" });
  for (const line of text.trimEnd().split("\n"))
    expect(line).toMatch(
      /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+\{([a-z_]+="([^"\\\n]|\\["\\n])*",?)*\} -?[\d.e+-]+)$/,
    );
  expect(text).toContain('of="a \\"label\\"\\n"');
  expect(text).toContain("# TYPE sluice_age_seconds histogram");
  expect(text).toContain(
    'sluice_connector_state{project="managed",connector="count",kind="sink",type="count",state="running"} 1',
  );
  const who = 'project="managed",connector="numbers",kind="source",type="numbers"';
  expect(text).toContain(`sluice_source_lag_bytes{${who}} 70\n`);
  expect(text).toContain(`sluice_source_lag_seconds{${who}} 0\n`);
  expect(text).toContain("# HELP sluice_embed_calls_total Requests to the embedding model");
  expect(text).toContain("# HELP sluice_upsert_calls_total Requests to the vector store");
  // Each family once, its lines together.
  const types = text.match(/^# TYPE \S+/gm) ?? [];
  expect(new Set(types).size).toBe(types.length);
});

describe("who may ask", () => {
  const get = (path: string, headers?: Call["headers"]): Call => ({
    method: "GET",
    path,
    ...(headers && { headers }),
  });

  it("without a token: this machine, and no page of a browser", async () => {
    expect((await call(url, get("/connectors"))).code).toBe(200);
    expect((await call(url, get("/connectors", { host: "evil.example:80" }))).code).toBe(403);
    const posted: Call = {
      method: "POST",
      path: "/connectors/count/pause",
      headers: { origin: "http://evil.example" },
    };
    expect((await call(url, posted)).code).toBe(403);
  });

  it("with a token: who has it", async () => {
    const { url: base } = await start("a-long-random-token");
    expect((await call(base, get("/healthz"))).code).toBe(200);
    expect((await call(base, get("/connectors"))).code).toBe(401);
    expect((await call(base, get("/connectors", { authorization: "Bearer wrong" }))).code).toBe(
      401,
    );
    const allowed = { authorization: "Bearer a-long-random-token" };
    expect((await call(base, get("/connectors", allowed))).code).toBe(200);
    expect((await call(base, get("/metrics", allowed))).code).toBe(200);
  });

  it("another machine: only where a token is set", async () => {
    await expect(start(undefined, "0.0.0.0")).rejects.toMatchObject({
      code: "admin.token-required",
    });
    const { url: base } = await start("a-long-random-token", "0.0.0.0");
    expect(base).not.toContain("0.0.0.0");
  });
});

it(
  "answers 10,000 odd requests, none of them with a failure of its own",
  { timeout: 120_000 },
  async () => {
    const pick = picker(20_261_127);
    const codes = new Map<number, number>();
    for (let at = 0; at < 10_000; at += 20)
      await Promise.all(
        Array.from({ length: 20 }, async () => {
          const asked = oddCall(pick);
          const { code, text } = await call(url, asked);
          codes.set(code, (codes.get(code) ?? 0) + 1);
          expect(code >= 500 ? [asked, text] : []).toEqual([]);
        }),
      );
    expect([...codes.keys()]).toEqual(
      expect.arrayContaining([200, 202, 400, 403, 404, 405, 409, 413]),
    );
    expect((await call(url, { method: "GET", path: "/healthz" })).code).toBe(200);
  },
);

type Pick = <T>(some: readonly [T, ...T[]]) => T;

/** Chooses by a generator of its own: the same requests in every run. */
function picker(seed: number): Pick {
  let state = seed;
  return (some) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return some[Math.floor((state / 2 ** 32) * some.length)] ?? some[0];
  };
}

function oddCall(pick: Pick): Call {
  const name = pick([
    "count",
    "numbers",
    "nobody",
    "..",
    "%2e%2e",
    "a".repeat(3_000),
    "%00",
    "%",
    "count%2f",
  ]);
  const end = pick([
    "",
    "/",
    "/pause",
    "/resume",
    "/stop",
    "/restart",
    "/snapshot",
    "/checkpoint",
    "/checkpoint/x",
    "?x=1",
  ]);
  const path = pick([
    "/",
    "//",
    "*",
    "/healthz",
    "/metrics",
    "/openapi.json",
    "/../../etc/passwd",
    "/connectors",
    "http://169.254.169.254/latest/meta-data",
    "/%ff%fe",
    `/connectors/${name}${end}`,
    `/connectors/${name}${end}`,
    `/connectors/${name}${end}`,
  ]);
  const body = pick([
    "",
    "{}",
    "null",
    "[]",
    '"text"',
    "{",
    '{"checkpoint":null}',
    '{"checkpoint":{"n":1e400}}',
    '{"checkpoint":{"n":7}}',
    '{"checkpoint":{"n":"7"},"__proto__":{"n":1}}',
    '{"collections":[]}',
    '{"collections":[1]}',
    '{"collections":["../../x","\\u0000"]}',
    "\u0000\u0001",
    "[".repeat(50_000),
    "x".repeat(70_000),
  ]);
  const method = pick([
    "GET",
    "GET",
    "POST",
    "POST",
    "PUT",
    "DELETE",
    "HEAD",
    "OPTIONS",
    "PATCH",
    "PROPFIND",
  ]);
  const headers = pick<Call["headers"] & object>([
    {},
    {},
    {},
    {},
    { host: "evil.example" },
    { origin: "null" },
    { authorization: `Bearer ${"x".repeat(5_000)}` },
    { "content-type": "application/x-www-form-urlencoded" },
  ]);
  return { method, path, headers, ...(method !== "GET" && method !== "HEAD" && { body }) };
}
