import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { HTTP } from "cloudevents";
import {
  inScope,
  isRecordChange,
  PartialError,
  PoisonError,
  RetryableError,
  upserted,
  version,
  type RecordChange,
  type SluiceEvent,
} from "sluice";
import { fakes, sinkConformance, type Sample } from "sluice/testing";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startReceiver, type Received, type Receiver } from "./harness.ts";
import { http } from "./http.ts";

const receivers: Receiver[] = [];
async function receiver(...how: Parameters<typeof startReceiver>): Promise<Receiver> {
  const one = await startReceiver(...how);
  receivers.push(one);
  return one;
}
afterEach(async () => {
  await Promise.all(receivers.splice(0).map((one) => one.close()));
});

async function write(config: object, events: readonly SluiceEvent[], run = fakes.writeRun()) {
  const writer = await http.open(fakes.context({ config: http.config.parse(config) }));
  await writer.write(events, run);
}

async function failing(config: object, events = [message("1")]): Promise<unknown> {
  try {
    await write(config, events);
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}

/** What one event, or each of several, failed with. */
function reasons(error: unknown): readonly (readonly [number, unknown])[] {
  assert.ok(error instanceof PartialError);
  return [...error.failures];
}

function message(id: string, more: object = {}): SluiceEvent {
  return { specversion: "1.0", id, source: "/shop", type: "com.shop.order", data: { id }, ...more };
}

function idsOf({ body, headers }: Received): readonly string[] {
  const type = headers["content-type"] ?? "";
  if (!type.startsWith("application/cloudevents")) return [String(headers["ce-id"])];
  const parsed = JSON.parse(body) as { id: string } | { id: string }[];
  return [parsed].flat().map(({ id }) => id);
}

for (const mode of ["structured", "batch"] as const)
  describe(`the http sink keeps what a sink must, as a receiver sees it, ${mode}:`, () => {
    let target: Receiver;
    const config: Record<string, unknown> = { url: "http://127.0.0.1:1", mode };
    let trouble: "outage" | "stall" | undefined;
    const refused = new Set<Received>();
    const waiting = new Set<ServerResponse>();
    beforeAll(async () => {
      target = await startReceiver((request, response) => {
        if (trouble !== undefined) refused.add(request);
        if (trouble === "stall") return waiting.add(response);
        if (trouble === "outage") return 503;
        return request.body.includes("poison") ? 422 : 204;
      });
      config["url"] = target.url;
    });
    afterAll(() => target.close());
    // A receiver that applies what it gets, by version: of equal ones the later.
    const read = async () => {
      const held = new Map<string, RecordChange>();
      for (const request of target.received) {
        const { body } = request;
        if (refused.has(request) || body.includes("poison")) continue;
        for (const change of [JSON.parse(body) as SluiceEvent | SluiceEvent[]].flat()) {
          if (!isRecordChange(change)) continue;
          if (change.type === "dev.sluice.collection.cleared") {
            const { source, data } = change;
            for (const [key, one] of held)
              if (
                one.source === source &&
                one.sequence < data.below &&
                inScope(one.partitionkey, data.scope)
              )
                held.delete(key);
            continue;
          }
          const key = `${change.source}\n${change.subject}`;
          if ((held.get(key)?.sequence ?? "") <= change.sequence) held.set(key, change);
        }
      }
      return [...held.values()];
    };
    const poison: Sample = (about, texts) =>
      upserted({ ...about, op: "update", after: { text: `poison ${texts.join(" ")}` } });
    const module = new URL("./http.js", import.meta.url);
    const outage = {
      begin: () => void (trouble = "outage"),
      end: () => void (trouble = undefined),
    };
    const stall = {
      begin: () => void (trouble = "stall"),
      end: () => {
        trouble = undefined;
        for (const response of waiting) response.destroy();
      },
    };
    const given = { sink: http, config, read, poison, module, outage, stall };
    for (const { name, run } of sinkConformance(given)) it(name, run, 60_000);
  });

describe("the http sink sends", () => {
  const record = upserted({
    source: "/müll",
    subject: 'a "b" %\u{1F600}',
    key: 1,
    version: version({ epoch: 1, position: 1n, rank: 0, tail: 0 }),
    time: "2026-01-01T00:00:00.123456Z",
    meta: {},
    op: "create",
    after: { text: "héllo" },
  });

  it("an event whole in the body, by default", async () => {
    const { url, received } = await receiver();
    await write({ url: `${url}/hook?a=b` }, [record]);
    assert.equal(received[0]?.url, "/hook?a=b");
    assert.match(String(received[0]?.headers["content-type"]), /^application\/cloudevents\+json/);
    assert.deepEqual(JSON.parse(received[0]?.body ?? ""), record);
  });

  it("data that is bytes as those bytes in binary mode, as base64 in the others", async () => {
    const bodies: Buffer[] = [];
    const raw = createServer((request, response) => {
      void buffer(request).then((body) => (bodies.push(body), response.writeHead(204).end()));
    }).listen(0, "127.0.0.1");
    await once(raw, "listening");
    const url = `http://127.0.0.1:${(raw.address() as AddressInfo).port}`;
    const bytes = Buffer.from([0, 255, 128, 10]);
    const event = message("1", {
      data: undefined,
      data_base64: bytes.toString("base64"),
      datacontenttype: "image/png",
    });
    const headers: IncomingHttpHeaders[] = [];
    raw.prependListener("request", (request) => headers.push(request.headers));
    await write({ url, mode: "binary", secret: `whsec_${"A".repeat(24)}` }, [event]);
    await write({ url }, [event]);
    raw.close();
    const [sent = {}] = headers;
    expect(bodies[0]).toEqual(bytes);
    expect(sent).toMatchObject({ "ce-id": "1", "content-type": "image/png" });
    expect(Object.keys(sent).filter((name) => name.includes("base64"))).toEqual([]);
    const mac = createHmac("sha256", Buffer.alloc(18))
      .update(`${String(sent["webhook-id"])}.${String(sent["webhook-timestamp"])}.`)
      .update(bytes);
    expect(sent["webhook-signature"]).toBe(`v1,${mac.digest("base64")}`);
    expect(JSON.parse(String(bodies[1]))).toMatchObject({ data_base64: bytes.toString("base64") });
  });

  it("in binary mode its attributes in headers, as the SDK reads them", async () => {
    const { url, received } = await receiver();
    await write({ url, mode: "binary" }, [
      record,
      message("t", { datacontenttype: "text/plain", data: "x" }),
    ]);
    const [first, second] = received;
    assert.equal(first?.headers["ce-subject"], "a%20%22b%22%20%25%F0%9F%98%80");
    assert.equal(first?.headers["ce-source"], "/m%C3%BCll");
    assert.equal(first?.headers["ce-time"], record.time);
    assert.ok(first);
    const { headers, body } = first;
    assert.deepEqual((HTTP.toEvent({ headers, body }) as { data: unknown }).data, record.data);
    assert.deepEqual([second?.headers["content-type"], second?.body], ["text/plain", "x"]);
  });

  it("no event that cannot be sent, again and again: it is a dead letter", async () => {
    const { url, received } = await receiver();
    const bad = message("bad", { datacontenttype: "text/pl\r\nain" });
    const failures = reasons(await failing({ url, mode: "binary" }, [bad, message("fine")]));
    assert.equal((failures[0]?.[1] as PoisonError | undefined)?.code, "http.content-type");
    assert.deepEqual(received.flatMap(idsOf), ["fine"]);
  });

  it("no data as no data, and not for whom a catch-up was", async () => {
    const { url, received } = await receiver();
    const event = message("1", { data: undefined, audience: "hook" });
    await write({ url, mode: "binary" }, [event]);
    await write({ url }, [event]);
    const [first, second] = received;
    assert.deepEqual([first?.headers["content-type"], first?.body], [undefined, ""]);
    assert.equal(first?.headers["ce-audience"], undefined);
    assert.ok(!second?.body.includes("audience"));
  });

  it("in batch mode many in one body, up to maxBatch and 1 MiB", async () => {
    const { url, received } = await receiver();
    const events = Array.from({ length: 250 }, (_, at) => message(`${at}`));
    await write({ url, mode: "batch" }, events);
    assert.deepEqual(
      received.map((one) => idsOf(one).length),
      [100, 100, 50],
    );
    assert.deepEqual(
      received.flatMap(idsOf),
      events.map(({ id }) => id),
    );
    await write(
      { url, mode: "batch" },
      [1, 2, 3].map((id) => message(`${id}`, { data: "x".repeat(600_000) })),
    );
    assert.equal(received.length, 6);
  });

  it("the same webhook-id for the same event, another for any other", async () => {
    const { url, received } = await receiver();
    const same = message("1");
    await write({ url }, [same, message("1", { source: "/other" }), message("2")]);
    await write({ url }, [same]);
    const ids = received.map(({ headers }) => headers["webhook-id"]);
    assert.equal(ids[3], ids[0]);
    assert.equal(new Set(ids).size, 3);
  });

  it("a signature that a receiver can check, over id, time and body", async () => {
    const { url, received } = await receiver();
    const key = Buffer.from("0123456789abcdef0123456789abcdef");
    for (const secret of [`whsec_${key.toString("base64")}`, key.toString()]) {
      await write({ url, secret }, [record]);
      const { headers, body } = received.at(-1) as Received;
      const signed = `${String(headers["webhook-id"])}.${String(headers["webhook-timestamp"])}.${body}`;
      const mac = createHmac("sha256", key).update(signed).digest("base64");
      assert.equal(headers["webhook-signature"], `v1,${mac}`);
      assert.ok(Math.abs(Date.now() / 1_000 - Number(headers["webhook-timestamp"])) < 5);
    }
  });

  it("the headers of its config, and no others may be set", async () => {
    const { url, received } = await receiver();
    await write({ url, headers: { authorization: "Bearer x" } }, [record]);
    assert.equal(received[0]?.headers.authorization, "Bearer x");
    for (const headers of [
      { "webhook-id": "x" },
      { "CE-ID": "x" },
      { host: "x" },
      { "a b": "x" },
      { a: "x\ny" },
    ])
      assert.ok(!http.config.safeParse({ url, headers }).success, JSON.stringify(headers));
    for (const bad of ["ftp://a/", "http://user:pass@a/", "nonsense"])
      assert.ok(!http.config.safeParse({ url: bad }).success, bad);
  });
});

describe("the http sink makes of an answer", () => {
  it.each([
    [429, "http.throttled", "throttled"],
    [503, "http.unreachable", "unreachable"],
    [500, "http.unreachable", "unreachable"],
    [408, "http.unreachable", "unreachable"],
    [401, "http.refused", "refused"],
    [402, "http.refused", "refused"],
    [403, "http.refused", "refused"],
    [404, "http.refused", "refused"],
    [410, "http.refused", "refused"],
  ])("%i a wait: %s", async (status, code, reason) => {
    const { url } = await receiver(() => status);
    const error = await failing({ url });
    assert.ok(error instanceof RetryableError);
    assert.deepEqual([error.code, error.reason], [code, reason]);
  });

  it.each([400, 409, 413, 415, 422])("%i a dead letter", async (status) => {
    const { url } = await receiver(() => status);
    const [[at, error] = []] = reasons(await failing({ url }));
    assert.ok(at === 0 && error instanceof PoisonError);
    assert.equal(error.code, "http.rejected");
  });

  it("Retry-After the time to wait, an hour at most", async () => {
    const headers = ["7", "99999999999"];
    const { url } = await receiver((_, response, count) => {
      response.setHeader("retry-after", headers[count - 1] ?? "");
      return 503;
    });
    const waits = [await failing({ url }), await failing({ url })] as RetryableError[];
    assert.deepEqual(
      waits.map(({ reason, retryAfterMs }) => [reason, retryAfterMs]),
      [
        ["throttled", 7_000],
        ["throttled", 3_600_000],
      ],
    );
  });

  it("none a wait: broken, refused or too late", async () => {
    const broken = await receiver((_, response) => void response.destroy());
    const slow = await receiver(() => undefined);
    const gone = await startReceiver();
    await gone.close();
    for (const url of [broken.url, slow.url, gone.url]) {
      const error = await failing({ url, timeoutSeconds: 1 });
      assert.ok(error instanceof RetryableError);
      assert.equal(error.code, "http.unreachable");
    }
  });

  it("what the receiver says, in part, without our secrets", async () => {
    const token = "very-secret-token";
    const { url } = await receiver(({ url: path, headers }, response) => {
      const detail = `${String(headers.authorization)} at ${path}: ${"no ".repeat(100_000)}`;
      response
        .writeHead(403, { "content-type": "application/problem+json" })
        .end(JSON.stringify({ detail }));
    });
    const config = {
      url: `${url}/hooks/T0123456789`,
      headers: { authorization: `Bearer ${token}` },
    };
    const error = await failing(config);
    assert.ok(error instanceof RetryableError);
    assert.match(error.message, /answers 403: .*no no/);
    assert.ok(error.message.length < 500, `${error.message.length} characters`);
    for (const secret of [token, "T0123456789"])
      assert.ok(!error.message.includes(secret), error.message);
    const away = await failing({ ...config, url: "http://127.0.0.1:1/hooks/T0123456789" });
    assert.ok(away instanceof RetryableError && !away.message.includes("T0123456789"));
  });

  it("with an endless body no more than its status", async () => {
    const pour = (status: number) => (_: Received, response: ServerResponse) => {
      response.writeHead(status);
      const timer = setInterval(() => response.write("x".repeat(1_000)), 10);
      response.once("close", () => clearInterval(timer));
    };
    const fine = await receiver(pour(200));
    await write({ url: fine.url }, [message("1")]);
    const bad = await receiver(pour(500));
    assert.match(String(await failing({ url: bad.url })), /answers 500/);
  });
});

describe("the http sink follows", () => {
  it("307 and 308 within one origin, three times at most, with the event", async () => {
    const { url, received } = await receiver(({ url: path }, response) => {
      const hop = Number(path.slice(1));
      if (hop === 3) return 204;
      response.setHeader("location", `/${hop + 1}`);
      return hop % 2 === 0 ? 307 : 308;
    });
    await write({ url: `${url}/0` }, [message("1")]);
    assert.deepEqual(
      received.map(({ url: path }) => path),
      ["/0", "/1", "/2", "/3"],
    );
    assert.equal(new Set(received.map(({ body }) => body)).size, 1);
    const error = await failing({ url: `${url}/-1` });
    assert.ok(error instanceof RetryableError && error.code === "http.redirect");
  });

  it("no redirect to another host, port or scheme, nor one that would drop the event", async () => {
    const other = await receiver();
    const targets = [
      "http://169.254.169.254/latest/meta-data/",
      `${other.url}/`,
      "https://127.0.0.1/",
      "//[::1]/",
      "file:///etc/passwd",
      "",
    ];
    for (const location of targets) {
      const { url } = await receiver((_, response) => {
        if (location !== "") response.setHeader("location", location);
        return 307;
      });
      const error = await failing({ url, headers: { authorization: "Bearer secret" } });
      assert.ok(error instanceof RetryableError);
      assert.deepEqual([error.code, error.reason], ["http.redirect", "refused"]);
    }
    for (const status of [301, 302, 303]) {
      const { url } = await receiver((_, response) => {
        response.setHeader("location", "/there");
        return status;
      });
      assert.equal(((await failing({ url })) as RetryableError).code, "http.redirect");
    }
    assert.deepEqual(other.received, []);
  });
});

describe("the http sink, when one of many fails", () => {
  const events = Array.from({ length: 10 }, (_, at) => message(`${at}`));

  it("sends nothing after one that may pass later", async () => {
    const { url, received } = await receiver((one) => (idsOf(one)[0] === "4" ? 503 : 204));
    const failures = reasons(await failing({ url }, events));
    assert.deepEqual(
      failures.map(([at]) => at),
      [4, 5, 6, 7, 8, 9],
    );
    assert.ok(failures.every(([, error]) => error instanceof RetryableError));
    assert.deepEqual(received.flatMap(idsOf), ["0", "1", "2", "3", "4"]);
  });

  it("goes on after one that is refused for good", async () => {
    const { url, received } = await receiver((one) => (idsOf(one)[0] === "4" ? 422 : 204));
    const failures = reasons(await failing({ url }, events));
    assert.deepEqual(
      failures.map(([at]) => at),
      [4],
    );
    assert.equal(received.length, 10);
  });

  it("finds the ones that spoil a batch, and keeps the order", async () => {
    const taken: string[] = [];
    const { url } = await receiver((one) => {
      const ids = idsOf(one);
      if (ids.some((id) => id === "3" || id === "7")) return 400;
      taken.push(...ids);
      return 204;
    });
    const failures = reasons(await failing({ url, mode: "batch" }, events));
    assert.deepEqual(
      failures.map(([at]) => at),
      [3, 7],
    );
    assert.deepEqual(taken, ["0", "1", "2", "4", "5", "6", "8", "9"]);
  });

  it("sends nothing when its lease has ended or after an abort", async () => {
    const { url, received } = await receiver();
    const late = fakes.writeRun({ deadline: performance.now() - 1 });
    await assert.rejects(write({ url }, events, late), { code: "http.lease-ended" });
    const aborter = new AbortController();
    const hanging = await receiver((_, __, count) => (count === 2 ? aborter.abort() : 204));
    const run = fakes.writeRun({ signal: aborter.signal });
    await assert.rejects(write({ url: hanging.url }, events, run), { name: "AbortError" });
    assert.deepEqual([received.length, hanging.received.length], [0, 2]);
  });
});

describe("the http sink's check", () => {
  it("connects, and sends nothing", async () => {
    const target = await receiver();
    const context = (url: string) => fakes.context({ config: http.config.parse({ url }) });
    expect(await http.check?.(context(target.url))).toMatchObject([{ severity: "ok" }]);
    expect(target.received).toEqual([]);
    expect(await http.check?.(context("http://127.0.0.1:1/"))).toMatchObject([
      {
        severity: "error",
        code: "http.unreachable",
        message: expect.stringContaining("ECONNREFUSED"),
      },
    ]);
  });
});
