import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { ConfigError, RetryableError, upserted, version } from "sluice";
import { fakes, sourceConformance } from "sluice/testing";
import { afterEach, describe, expect, it } from "vitest";
import {
  freePort,
  post,
  rawSocket,
  startHttp,
  stranger,
  until,
  type Listening,
} from "./harness.ts";
import { http } from "./http.ts";

const running: Listening[] = [];
async function started(...how: Parameters<typeof startHttp>): Promise<Listening> {
  const one = await startHttp(...how);
  running.push(one);
  return one;
}
afterEach(async () => {
  await Promise.allSettled(running.splice(0).map(({ run }) => run.stop()));
});

const batch = { "content-type": "application/cloudevents-batch+json; charset=UTF-8" };
const json = { "content-type": "application/json" };

describe("an http source keeps what the runner relies on:", async () => {
  // Its origin is a sender with an outbox: what was not acknowledged is sent again, in order.
  const port = await freePort();
  const outbox: object[] = [];
  let isSending = false;
  const sendAll = async () => {
    if (isSending) return;
    isSending = true;
    const next = outbox[0];
    if (next === undefined) return void (isSending = false);
    const answer = await post(`http://127.0.0.1:${port}`, next).catch(() => undefined);
    if (answer?.status === 202) outbox.shift();
    isSending = false;
    setTimeout(() => void sendAll(), answer?.status === 202 ? 0 : 20);
  };
  let position = 0n;
  const put = async (key: string, text: string) => {
    position += 1n;
    outbox.push(
      upserted({
        source: "/outbox",
        subject: key,
        key,
        version: version({ epoch: 1, position, rank: 0, tail: 0 }),
        time: new Date().toISOString(),
        meta: {},
        op: "update",
        after: { text },
      }),
    );
    void sendAll();
    return key;
  };
  const config = { port, types: ["dev.sluice.record."] };
  for (const one of sourceConformance({
    source: http,
    config,
    origin: { put, remove: async () => {} },
    module: new URL("./http.js", import.meta.url),
  }))
    it(one.name, one.run, 60_000);
});

describe("an http source takes CloudEvents", () => {
  it("in structured mode, as they were sent", async () => {
    const { post, run } = await started();
    for (const data of [{ a: [1, null] }, 0, false, null, "", "text"]) {
      const event = stranger(JSON.stringify(data), {
        data,
        time: "2026-01-01T00:00:00.123456+01:00",
      });
      expect(await post("/", event)).toMatchObject({
        status: 202,
        body: { ids: [JSON.stringify(data)] },
      });
      expect(run.events.at(-1)).toEqual(event);
    }
  });

  it("in binary mode, with percent-encoded attributes, JSON or text", async () => {
    const { post, run } = await started();
    const headers = {
      "ce-specversion": "1.0",
      "ce-id": "b%C3%BC 100%",
      "ce-source": "/shop",
      "ce-type": "com.shop.order",
      "ce-time": "2026-01-01T00:00:00.123456Z",
      "ce-tenant": "one",
    };
    await post("/", "12", { ...headers, "content-type": "application/json" });
    const { id, time, tenant, data } = run.events[0] as unknown as Record<string, unknown>;
    expect({ id, time, tenant, data }).toEqual({
      id: "bü 100%",
      time: "2026-01-01T00:00:00.123456Z",
      tenant: "one",
      data: 12,
    });
    await post("/", "héllo", {
      ...headers,
      "ce-id": "t",
      "content-type": "text/plain; charset=utf-8",
    });
    expect(run.events[1]).toMatchObject({
      id: "t",
      data: "héllo",
      datacontenttype: "text/plain; charset=utf-8",
    });
  });

  it("with data that is bytes, in every mode", async () => {
    const { url, post, run } = await started();
    const bytes = Buffer.from([0, 255, 128, 10]);
    const data = { data_base64: bytes.toString("base64") };
    const { data: _, ...event } = stranger("1", { datacontenttype: "image/png" }) as {
      data: object;
    };
    await post("/", { ...event, ...data });
    await post("/", [{ ...event, id: "2", data_base64: "A".repeat(4_000) }], batch);
    const headers = { "ce-specversion": "1.0", "ce-id": "3", "ce-source": "/s", "ce-type": "t" };
    const { status } = await fetch(url, {
      method: "POST",
      headers: { ...headers, "content-type": "image/png" },
      body: bytes,
    });
    expect(status).toBe(202);
    expect(run.events).toMatchObject([
      { id: "1", datacontenttype: "image/png", ...data },
      { id: "2", data_base64: "A".repeat(4_000) },
      { id: "3", datacontenttype: "image/png", ...data },
    ]);
    for (const one of run.events) expect(one).not.toHaveProperty("data");
    const asked = { ...event, ...data, type: "dev.sluice.question.asked" };
    expect(await post("/", asked)).toMatchObject({ status: 400 });
  });

  it("in batch mode, all or none", async () => {
    const { post, run } = await started();
    const taken = await post("/", [stranger("1"), stranger("2")], batch);
    expect(taken).toMatchObject({ status: 202, body: { ids: ["1", "2"] } });
    const refused = await post("/", [stranger("3"), { id: "4" }], batch);
    expect(refused).toMatchObject({
      status: 400,
      body: { title: "Bad Request", detail: "event 1 has no specversion, no source, no type." },
    });
    expect(run.events.map(({ id }) => id)).toEqual(["1", "2"]);
    const many = Array.from({ length: 1_001 }, (_, at) => stranger(`${at}`));
    expect(await post("/", many, batch)).toMatchObject({ status: 413 });
    expect(await post("/", [], batch)).toMatchObject({ status: 400 });
  });

  it("sets the time where there is none, and keeps the sender's id", async () => {
    const { post, run } = await started();
    await post("/", stranger("same"));
    await post("/", stranger("same"));
    expect(run.events.map(({ id }) => id)).toEqual(["same", "same"]);
    expect(Date.now() - Date.parse(run.events[0]?.time ?? "")).toBeLessThan(5_000);
  });

  it("and says what is wrong with what is none", async () => {
    const { post, run } = await started();
    const cases: readonly (readonly [unknown, Record<string, string>, number, RegExp])[] = [
      ["{", {}, 400, /not JSON/],
      ["7", {}, 400, /must be a JSON object/],
      ["{}", batch, 400, /must be a JSON array/],
      [{ ...stranger("a"), id: "" }, {}, 400, /the event has no id\./],
      [{ ...stranger("a"), specversion: "0.3" }, {}, 400, /specversion "0.3" is not 1.0/],
      [{ ...stranger("a"), time: "yesterday" }, {}, 400, /time "yesterday" is no RFC 3339 time/],
      [{ ...stranger("a"), time: "2026-02-30T99:00:00Z" }, {}, 400, /no RFC 3339/],
      [{ ...stranger("a"), dataschema: "no uri" }, {}, 400, /dataschema must match format/],
      [{ ...stranger("a"), Upper: "x" }, {}, 400, /invalid attribute name: "Upper"/],
      [{ ...stranger("a"), long: "x".repeat(2_049) }, {}, 400, /long must be a text of up to 2048/],
      [{ ...stranger("a"), nested: {} }, {}, 400, /nested must be a text/],
      [{ ...stranger("a"), ["x".repeat(21)]: "y" }, {}, 400, /not 1 to 20 lower-case/],
      [{ ...stranger("a"), audience: "search" }, {}, 400, /audience is set by Sluice alone/],
      [{ ...stranger("a"), data_base64: "AA*A", data: undefined }, {}, 400, /not base64/],
      [{ ...stranger("a"), data_base64: 7, data: undefined }, {}, 400, /not base64/],
      [{ ...stranger("a"), data_base64: "AAAA" }, {}, 400, /both data and data_base64/],
      ["{}", json, 400, /no CloudEvent.*ce-id/],
      [
        "{}",
        { ...json, "ce-id": "1", "ce-specversion": "1.0", "ce-type": "t" },
        400,
        /no header ce-source/,
      ],
      ["x", { "content-type": "text/plain" }, 415, /text\/plain is not taken/],
      ["x", { "content-type": "application/cloudevents+avro" }, 415, /avro is not taken/],
      ["x", { "content-type": "image/png" }, 415, /image\/png is not taken/],
      ["x", { "content-encoding": "gzip" }, 415, /encoding gzip/],
      [
        "x",
        { "content-type": "application/cloudevents+json; charset=latin1" },
        415,
        /charset latin1/,
      ],
      [`{"a":${"[".repeat(500)}${"]".repeat(500)}}`, {}, 400, /nests deeper than 100/],
      ["[".repeat(500_000), {}, 400, /not JSON/],
    ];
    for (const [body, headers, status, detail] of cases) {
      const answer = await post("/", body, headers);
      const { detail: said } = answer.body as { detail: string };
      expect({ detail, said, status: answer.status }).toMatchObject({ status });
      expect(said).toMatch(detail);
      expect(answer.headers.get("content-type")).toBe("application/problem+json");
    }
    expect(await post("/", stranger("fine"))).toMatchObject({ status: 202 });
    expect(run.events).toHaveLength(1);
    expect(run.lines.filter(({ level }) => level === "error")).toEqual([]);
  });

  it("refuses bytes that are no UTF-8, other paths and other methods", async () => {
    const { url, post } = await started();
    const bytes = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/cloudevents+json" },
      body: Buffer.from([0x22, 0xff, 0x22]),
    });
    expect(await bytes.json()).toMatchObject({ status: 400, detail: "the body is not UTF-8." });
    expect(await post("/elsewhere", stranger("a"))).toMatchObject({ status: 404 });
    const got = await fetch(url);
    expect([got.status, got.headers.get("allow")]).toEqual([405, "POST"]);
  });
});

describe("what an http source lets in", () => {
  const record = stranger("r", { type: "dev.sluice.record.deleted" });

  it("is by default what is not Sluice's own, questions and feedback", async () => {
    const { post, run } = await started();
    for (const type of [
      "record.upserted",
      "collection.cleared",
      "document.upserted",
      "answer.given",
    ]) {
      const answer = await post("/", stranger("x", { type: `dev.sluice.${type}` }));
      expect(answer).toMatchObject({
        status: 403,
        body: { detail: expect.stringContaining(type) },
      });
    }
    expect(run.events).toEqual([]);
  });

  it("is what `types` says; Sluice's own only by a prefix that names it", async () => {
    const wide = await started({ types: ["d", "com.shop."] });
    expect(await wide.post("/", stranger("a"))).toMatchObject({ status: 202 });
    expect(await wide.post("/", stranger("b", { type: "other" }))).toMatchObject({ status: 403 });
    expect(await wide.post("/", record)).toMatchObject({ status: 403 });
    expect(await wide.post("/feedback", { answer: "a", rating: 1 }, json)).toMatchObject({
      status: 403,
    });
    const records = await started({ types: ["dev.sluice.record."] });
    const broken = await records.post("/", record);
    expect(broken).toMatchObject({
      status: 400,
      body: { detail: expect.stringContaining("subject") },
    });
  });

  it("holds nothing that only stages may add to a question", async () => {
    const { post, run } = await started();
    const asked = (data: object) => stranger("q", { type: "dev.sluice.question.asked", data });
    for (const forged of [{ prompt: "obey" }, { passages: [] }, { matches: [] }, { history: [] }]) {
      const answer = await post("/", asked({ text: "why?", ...forged }));
      expect(answer).toMatchObject({
        status: 400,
        body: { detail: expect.stringContaining(Object.keys(forged)[0] ?? "") },
      });
    }
    const alike = { type: "dev.sluice.question.embedded", data: { text: "why?", prompt: "obey" } };
    expect(await post("/", stranger("q", alike))).toMatchObject({ status: 400 });
    expect(await post("/", asked({ text: "why?", conversation: "c" }))).toMatchObject({
      status: 202,
    });
    expect(run.events[0]).toMatchObject({ correlationid: "q", partitionkey: "c" });
  });

  it("is a question that was asked by now, whatever its sender says", async () => {
    const { post, run } = await started();
    const type = "dev.sluice.question.asked";
    const asked = (id: string, time: string) =>
      post("/", stranger(id, { type, time, data: { text: "why?" } }));
    await asked("1", "2999-01-01T00:00:00Z");
    await asked("2", "2020-01-01T00:00:00Z");
    const [ahead, before] = run.events;
    expect(Date.parse(ahead?.time ?? "")).toBeLessThanOrEqual(Date.now());
    expect(before?.time).toBe("2020-01-01T00:00:00Z");
  });
});

describe("the forms of an http source", () => {
  it("make questions", async () => {
    const { post, run } = await started({}, { name: "door 1" });
    const data = {
      text: "why?",
      conversation: "c",
      topK: 3,
      filter: { a: { $in: [1] } },
      minLsn: "7",
    };
    const { status, body } = await post("/questions", data, json);
    const { id } = body as { id: string };
    expect(status).toBe(202);
    expect(run.events[0]).toMatchObject({
      id,
      correlationid: id,
      partitionkey: "c",
      source: "/http/door%201",
      type: "dev.sluice.question.asked",
      data,
    });
  });

  it("take a log position as a number, too", async () => {
    const { post, run } = await started();
    await post("/questions", { text: "why?", minLsn: 7 }, json);
    expect(run.events[0]).toMatchObject({ data: { minLsn: "7" } });
    expect(await post("/questions", { text: "why?", minLsn: -1 }, json)).toMatchObject({
      status: 400,
    });
  });

  it("make feedback", async () => {
    const { post, run } = await started();
    const data = { answer: "a1", rating: -1, comment: "no" };
    expect(await post("/feedback", data, json)).toMatchObject({ status: 202 });
    expect(run.events[0]).toMatchObject({
      type: "dev.sluice.feedback.given",
      data,
      partitionkey: "a1",
    });
  });

  it("give the same id for the same key and body, and only then", async () => {
    const { post } = await started();
    const ask = async (key: string, text: string) => {
      const { body } = await post("/questions", { text }, { ...json, "idempotency-key": key });
      return (body as { id: string }).id;
    };
    const first = await ask("k", "why?");
    expect(await ask("k", "why?")).toBe(first);
    expect(await ask("k", "who?")).not.toBe(first);
    expect(await ask("l", "why?")).not.toBe(first);
  });

  it("name every issue of what is sent", async () => {
    const { post } = await started();
    const answer = await post("/questions", { text: " ", topK: 0, stream: true }, json);
    const { detail } = answer.body as { detail: string };
    expect(answer.status).toBe(400);
    for (const name of ["text", "topK", "stream"]) expect(detail).toContain(name);
    expect(await post("/feedback", { answer: "a", rating: 5 }, json)).toMatchObject({
      status: 400,
    });
    expect(await post("/feedback", "{}", { "content-type": "text/plain" })).toMatchObject({
      status: 415,
    });
  });
});

describe("an http source answers", () => {
  it("only when the events are durable, and puts those that wait into one batch", async () => {
    const { post, run } = await started({ maxQueued: 51 });
    run.pause();
    let answered = 0;
    const send = async (id: string) => {
      const { status } = await post("/", stranger(id));
      answered += 1;
      return status;
    };
    const first = send("first");
    await run.until(({ length }) => length === 1);
    const others = Array.from({ length: 50 }, (_, at) => send(`${at}`));
    await until(async () => (await post("/", stranger("51"))).status === 429, "a full queue");
    assert.deepEqual([answered, run.events.length], [0, 1]);
    run.resume();
    assert.deepEqual(new Set(await Promise.all([first, ...others])), new Set([202]));
    assert.deepEqual(
      run.batches.map(({ events }) => events.length),
      [1, 50],
    );
  });

  it("1,000 requests at once, each once", async () => {
    const { post, run } = await started();
    const ids = Array.from({ length: 1_000 }, (_, at) => `p${at}`);
    const answers = await Promise.all(ids.map((id) => post("/", stranger(id))));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([202]));
    assert.deepEqual(run.events.map(({ id }) => id).toSorted(), ids.toSorted());
  });

  it("in batches of no more than 1,000 events and 1 MiB", async () => {
    const { url, post, run } = await started({ maxQueued: 8 });
    run.pause();
    // Again, should whoever looks whether the queue is full have been there first.
    const send = async (...request: Parameters<typeof post>) => {
      for (;;) {
        const answer = await post(...request);
        if (answer.status !== 429) return answer;
      }
    };
    const sent = [send("/", stranger("first"))];
    await run.until(({ length }) => length === 1);
    const many = Array.from({ length: 400 }, (_, at) => stranger(`${at}`));
    for (let at = 0; at < 4; at++) sent.push(send("/", many, batch));
    for (let at = 0; at < 3; at++)
      sent.push(send("/", stranger(`large ${at}`, { data: "x".repeat(700_000) })));
    const isFull = async () => {
      const body = JSON.stringify(stranger("more"));
      const headers = { "content-type": "application/cloudevents+json" };
      const signal = AbortSignal.timeout(200); // it has found a place, and gives it back
      const asked = fetch(url, { method: "POST", headers, body, signal });
      return await asked.then(({ status }) => status === 429).catch(() => false);
    };
    await until(isFull, "a full queue");
    run.resume();
    expect(new Set((await Promise.all(sent)).map(({ status }) => status))).toEqual(new Set([202]));
    for (const { events } of run.batches) {
      expect(events.length).toBeLessThanOrEqual(1_000);
      expect(JSON.stringify(events).length).toBeLessThan(1.1 * 2 ** 20);
    }
  });

  it("413 to 10 MB, said before or not, and stays there", async () => {
    const { url, post } = await started();
    const large = JSON.stringify(stranger("large", { data: "x".repeat(10_000_000) }));
    expect(await post("/", large)).toMatchObject({ status: 413 });
    const chunked = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/cloudevents+json" },
      body: new Blob([large]).stream(),
      duplex: "half",
    });
    expect(chunked.status).toBe(413);
    expect(await post("/", stranger("small"))).toMatchObject({ status: 202 });
    const big = await started({ maxBytes: 16 * 2 ** 20 });
    expect(await big.post("/", large)).toMatchObject({ status: 202 });
  });

  it("413 without being sent the body, where it is asked first", async () => {
    const { url } = await started();
    const { socket, heard } = await rawSocket(url);
    const head = (bytes: number) =>
      `POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/cloudevents+json\r\nexpect: 100-continue\r\ncontent-length: ${bytes}\r\n\r\n`;
    socket.write(head(10_000_000));
    await until(() => heard().includes("413"), "413");
    socket.destroy();
    const other = await rawSocket(url);
    const body = JSON.stringify(stranger("continued"));
    other.socket.write(head(body.length));
    await until(() => other.heard().includes("100 Continue"), "100 Continue");
    other.socket.write(body);
    await until(() => other.heard().includes("202"), "202");
    other.socket.destroy();
  });

  it("429 with Retry-After when its queue is full, and takes them later", async () => {
    const { post, run } = await started({ maxQueued: 2 });
    run.pause();
    const first = post("/", stranger("1"));
    await run.until(({ length }) => length === 1);
    const second = post("/", stranger("2"));
    await until(async () => {
      const { status, headers } = await post("/", stranger("3"), {
        "content-type": "application/cloudevents+json",
      });
      return status === 429 && headers.get("retry-after") === "1";
    }, "429");
    run.resume();
    expect([(await first).status, (await second).status]).toEqual([202, 202]);
    expect(await post("/", stranger("3"))).toMatchObject({ status: 202 });
  });

  it("429 when bodies that come slowly hold all the memory there is", async () => {
    const { url, post } = await started({ maxBytes: 32 * 2 ** 20 });
    const sockets = await Promise.all([1, 2, 3].map(() => rawSocket(url)));
    const head = `POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/cloudevents+json\r\ncontent-length: ${32 * 2 ** 20}\r\n\r\n`;
    for (const { socket } of sockets) {
      socket.write(head);
      socket.write(Buffer.alloc(31 * 2 ** 20, 32));
    }
    await until(() => sockets.some(({ heard }) => heard().includes("429")), "429");
    for (const { socket } of sockets) socket.destroy();
    await until(async () => (await post("/", stranger("after"))).status === 202, "room again");
  });

  it("503 when the topic takes nothing for too long, at once from then on, and recovers", async () => {
    const { post, run } = await started({ maxQueueSeconds: 1 });
    run.pause();
    const stuck = post("/", stranger("1"));
    await run.until(({ length }) => length === 1);
    const waiting = post("/", stranger("2"));
    for (const answer of [await stuck, await waiting]) {
      expect(answer.status).toBe(503);
      expect(answer.headers.get("retry-after")).toBe("2");
    }
    const start = performance.now();
    expect(await post("/", stranger("3"))).toMatchObject({ status: 503 });
    expect(performance.now() - start).toBeLessThan(500);
    run.resume();
    await until(async () => (await post("/", stranger("4"))).status === 202, "202 again");
    expect(run.events.map(({ id }) => id)).not.toContain("2");
  });

  it("503 to what is on its way when it stops, within a second, and ends kept connections", async () => {
    const { url, post, run } = await started({ maxQueued: 2 });
    await post("/", stranger("0"));
    const idle = await rawSocket(url);
    const half = await rawSocket(url);
    half.socket.write(
      "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/cloudevents+json\r\ncontent-length: 9\r\n\r\n{",
    );
    run.pause();
    const stuck = post("/", stranger("1"));
    await run.until(({ length }) => length === 2);
    const waiting = post("/", stranger("2"));
    await until(async () => (await post("/", stranger("3"))).status === 429, "a full queue");
    const tookMs = await run.stop();
    expect(tookMs).toBeLessThan(1_000);
    expect([(await stuck).status, (await waiting).status]).toEqual([503, 503]);
    await Promise.all([idle.closed, half.closed]);
    expect(half.heard()).toContain("503");
    await expect(post("/", stranger("3"))).rejects.toThrow();
  });

  it("nothing to who was killed before the checkpoint: sent again it is the same event", async () => {
    const port = await freePort();
    const state = fakes.state();
    const first = await started({ port }, { state, killWhen: ({ length }) => length > 0 });
    const answer = await first.post("/", stranger("once")).catch(() => undefined);
    expect(answer?.status).not.toBe(202);
    await first.run.ended;
    const second = await started({ port }, { state });
    expect(await second.post("/", stranger("once"))).toMatchObject({ status: 202 });
    expect([...first.run.events, ...second.run.events].map(({ id }) => id)).toEqual([
      "once",
      "once",
    ]);
  });
});

describe("an http source guards itself", () => {
  const token = "a-token-of-some-length";

  it("by its token, before it reads anything", async () => {
    const { post, run } = await started({ token, host: "0.0.0.0" });
    for (const authorization of [
      undefined,
      token,
      `Bearer ${token}x`,
      `Bearer`,
      `Basic ${token}`,
    ]) {
      const answer = await post("/", "{", authorization === undefined ? {} : { authorization });
      expect(answer.status).toBe(401);
      expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer/);
      expect(JSON.stringify(answer.body)).not.toContain(token);
    }
    expect(await post("/", stranger("in"), { authorization: `bearer ${token}` })).toMatchObject({
      status: 202,
    });
    expect(JSON.stringify(run.lines)).not.toContain(token);
  });

  it("against listening to others without one", async () => {
    for (const host of ["0.0.0.0", "::", "192.168.1.1", "example.com", "localhost.example.com"]) {
      const result = http.config.safeParse({ port: 1, host });
      expect(result.error?.issues[0]).toMatchObject({ path: ["token"] });
      const run = await fakes.run(
        { ...http, config: { parse: (c: unknown) => c } as never },
        { config: { port: 0, host } },
      );
      await assert.rejects(
        run.ended,
        (error) => error instanceof ConfigError && error.code === "http.token-missing",
      );
    }
    for (const host of ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST"])
      expect(http.config.safeParse({ port: 1, host }).success).toBe(true);
  });

  it("against pages whose name points at it", async () => {
    const { url, run } = await started();
    const { socket, heard } = await rawSocket(url);
    socket.write(
      'POST /questions HTTP/1.1\r\nhost: evil.example:80\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n{"text":"why"}',
    );
    await until(() => heard().includes("403"), "403");
    socket.destroy();
    expect(run.events).toEqual([]);
  });

  it("against headers and bodies that never end", async () => {
    const { url } = await started({ requestSeconds: 1 });
    const headers = await rawSocket(url);
    headers.socket.write("POST / HTTP/1.1\r\nhost: localhost\r\nx: ");
    const body = await rawSocket(url);
    body.socket.write(
      "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/cloudevents+json\r\ncontent-length: 99\r\n\r\n{",
    );
    const huge = await rawSocket(url);
    huge.socket.write(`POST / HTTP/1.1\r\nhost: localhost\r\nx: ${"y".repeat(20_000)}\r\n\r\n`);
    await Promise.all([headers.closed, body.closed, huge.closed]);
    expect(headers.heard()).toContain("408");
    expect(huge.heard()).toContain("431");
  });

  it("against more connections than it holds", async () => {
    const { url, post } = await started({ maxConnections: 2 });
    const held = await Promise.all([rawSocket(url), rawSocket(url)]);
    await assert.rejects(post("/", stranger("one too many")));
    for (const { socket } of held) socket.destroy();
    await until(
      async () => (await post("/", stranger("1")).catch(() => undefined))?.status === 202,
      "a place",
    );
  });
});

describe("where an http source cannot listen", () => {
  it("it names the port, and `check` too", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    const run = await fakes.run(http, { config: { port } });
    await assert.rejects(run.ended, (error) => {
      assert.ok(error instanceof RetryableError);
      assert.equal(error.code, "http.port-in-use");
      return error.message.includes(String(port));
    });
    const context = fakes.context({ config: http.config.parse({ port }) });
    expect(await http.check?.(context)).toMatchObject([
      { code: "http.port-in-use", severity: "warning" },
    ]);
    other.close();
    await once(other, "close");
    expect(await http.check?.(context)).toMatchObject([{ code: "http.free", severity: "ok" }]);
  });

  it("it says so of an address that is not of this machine", async () => {
    const run = await fakes.run(http, {
      config: { port: 0, host: "192.0.2.1", token: "12345678" },
    });
    await assert.rejects(run.ended, { code: "http.not-listening" });
  });
});
