import assert from "node:assert/strict";
import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { startReceiver, type Receiver } from "../connectors/sinks/http/harness.ts";
import { http } from "../connectors/sinks/http/http.ts";
import { freePort, post, stranger, until } from "../connectors/sources/http/harness.ts";
import {
  answering,
  cleanUp,
  cleanups,
  consumer,
  desk,
  folder,
  isUp,
  sourceOf,
  started,
} from "./http-pipeline.ts";

const json = { "content-type": "application/json" };
afterEach(cleanUp);

describe("a pipeline from the http source to the http sink", () => {
  async function carried(mode: "structured" | "binary" | "batch"): Promise<void> {
    const taken: { tenant: string; at: number; id: string }[] = [];
    let calls = 0;
    // Every fifth call fails, in one way or another: before or after the receiver has taken it.
    const receiver: Receiver = await startReceiver(({ headers, body }, response) => {
      calls += 1;
      const isBroken = calls % 5 === 0;
      if (isBroken && calls % 3 === 0) return calls % 2 === 0 ? 500 : 429;
      const parsed = JSON.parse(body) as { id: string; tenant: string; data: { at: number } };
      const events =
        mode === "binary"
          ? [
              {
                id: String(headers["ce-id"]),
                tenant: String(headers["ce-tenant"]),
                data: parsed as unknown as { at: number },
              },
            ]
          : [parsed].flat();
      for (const { id, tenant, data } of events) taken.push({ id, tenant, at: data.at });
      if (!isBroken) return 204;
      response.destroy();
    });
    cleanups.push(() => receiver.close());
    const port = await freePort();
    await started(await folder(), [
      {
        ...consumer,
        name: "hook",
        kind: "sink",
        from: ["in"],
        sink: http,
        config: http.config.parse({ url: receiver.url, mode, maxBatch: 10 }),
      },
      sourceOf({ port }),
    ]);
    const url = `http://127.0.0.1:${port}`;
    await until(() => isUp(url), "the source to listen");

    const tenants = ["a", "b", "c", "d", "e", "f"];
    const each = 40;
    await Promise.all(
      tenants.map(async (tenant) => {
        for (let at = 0; at < each; at++) {
          const event = stranger(`${tenant}${at}`, { tenant, partitionkey: tenant, data: { at } });
          assert.equal((await post(url, event)).status, 202);
        }
      }),
    );
    await untilLong(() => new Set(taken.map(({ id }) => id)).size === tenants.length * each);
    for (const tenant of tenants) {
      const seen = taken.filter((one) => one.tenant === tenant);
      // Repeats aside, in order: a receiver that knows what it has seen sees each once.
      const first = seen.filter(({ id }, at) => seen.findIndex((one) => one.id === id) === at);
      assert.deepEqual(
        first.map(({ at }) => at),
        Array.from({ length: each }, (_, at) => at),
      );
    }
  }
  it("carries every event, in the order of its key, past failures", () => carried("structured"));
  it("the same in binary mode", () => carried("binary"));
  it("the same in batches", () => carried("batch"));
});

async function untilLong(isSo: () => boolean): Promise<void> {
  const end = performance.now() + 25_000;
  while (!isSo()) {
    if (performance.now() > end) throw new Error("not everything arrived");
    await sleep(20);
  }
}

describe("who asks the http source", () => {
  it("gets the answer to its own question on the same request", async () => {
    const { url } = await desk();
    const asked = await Promise.all(
      Array.from({ length: 20 }, async (_, at) => {
        const answer = await post(
          `${url}/questions`,
          { text: `q${at}` },
          { ...json, prefer: "wait=20" },
        );
        return [
          answer.status,
          answer.headers.get("content-type"),
          (answer.body as { data: { text: string } }).data.text,
        ];
      }),
    );
    assert.deepEqual(
      asked,
      Array.from({ length: 20 }, (_, at) => [
        200,
        "application/cloudevents+json",
        `because q${at}`,
      ]),
    );
    const event = stranger("q", {
      type: "dev.sluice.question.asked",
      correlationid: "c",
      data: { text: "why" },
    });
    expect(await post(url, event, { prefer: "respond-async, wait=20" })).toMatchObject({
      status: 200,
      body: { correlationid: "c", type: "dev.sluice.answer.given" },
    });
  });

  it("gets the id when the time is over, no later than maxWaitSeconds", async () => {
    const { url } = await desk({ maxWaitSeconds: 1 });
    const start = performance.now();
    const answer = await post(
      `${url}/questions`,
      { text: "never" },
      { ...json, prefer: "wait=600" },
    );
    const { status, body, headers } = answer;
    expect([status, headers.get("preference-applied")]).toEqual([202, "wait=1"]);
    expect(body).toEqual({ id: expect.any(String) });
    expect(performance.now() - start).toBeLessThan(4_000);
    expect(
      await post(`${url}/questions`, { text: "why" }, { ...json, prefer: "wait=0" }),
    ).toMatchObject({ status: 202 });
  });

  it("gets it as server-sent events", async () => {
    const { url } = await desk({ maxWaitSeconds: 1 });
    const stream = { ...json, accept: "text/event-stream" };
    const { headers, body } = await post(`${url}/questions`, { text: "why" }, stream);
    expect(headers.get("content-type")).toBe("text/event-stream");
    const [accepted, answer, rest] = String(body).split("\n\n");
    expect(accepted).toMatch(/^event: accepted\ndata: \{"id":"[^"]+"\}$/);
    const [name, data = ""] = (answer ?? "").split("\ndata: ");
    expect([name, rest]).toEqual(["event: answer", ""]);
    expect(JSON.parse(data)).toMatchObject({ data: { text: "because why" } });
    const never = await post(`${url}/questions`, { text: "never" }, stream);
    expect(never.body).toMatch(/event: unanswered\ndata: \{"id":"[^"]+","reason":"late"\}\n\n$/);
  });

  it("is told at once that its question was given up, by whom and why", async () => {
    const { url } = await desk({ maxWaitSeconds: 60 });
    const start = performance.now();
    const wait = { ...json, prefer: "wait=60" };
    const bad = await post(`${url}/questions`, { text: "bad" }, wait);
    expect(bad.status).toBe(422);
    expect(bad.headers.get("content-type")).toBe("application/problem+json");
    const detail = "answerer gave the question up: answerer: it cannot.";
    expect(bad.body).toEqual({
      title: "Unprocessable Entity",
      status: 422,
      detail,
      fix: "Ask less.",
      id: expect.any(String),
    });
    const stream = { ...json, accept: "text/event-stream" };
    const { body } = await post(`${url}/questions`, { text: "bad" }, stream);
    const [, unanswered = ""] = String(body).split("\n\n");
    const [name, data = ""] = unanswered.split("\ndata: ");
    expect(name).toBe("event: unanswered");
    expect(JSON.parse(data)).toEqual({
      id: expect.any(String),
      reason: "given-up",
      detail,
      fix: "Ask less.",
    });
    expect(performance.now() - start).toBeLessThan(20_000);
  });

  it("may ask again with the same key: what was given up before is over", async () => {
    const { url } = await desk();
    const ask = () =>
      post(
        `${url}/questions`,
        { text: "once" },
        { ...json, prefer: "wait=20", "idempotency-key": "k" },
      );
    expect((await ask()).status).toBe(422);
    expect(await ask()).toMatchObject({ status: 200, body: { data: { text: "because once" } } });
  });

  it("is told what to do where it cannot wait", async () => {
    const { url } = await desk();
    const two = ["1", "2"].map((id) =>
      stranger(id, { type: "dev.sluice.question.asked", data: { text: "why" } }),
    );
    const headers = { "content-type": "application/cloudevents-batch+json", prefer: "wait=1" };
    expect(await post(url, two, headers)).toMatchObject({ status: 400 });
    expect(await post(url, stranger("1"), { accept: "text/event-stream" })).toMatchObject({
      status: 400,
    });
    const deaf = await desk({ answers: undefined });
    expect(
      await post(`${deaf.url}/questions`, { text: "why" }, { ...json, prefer: "wait=1" }),
    ).toMatchObject({
      status: 400,
      body: { fix: expect.stringContaining('Set "answers"') },
    });
    expect(await post(`${deaf.url}/questions`, { text: "why" }, json)).toMatchObject({
      status: 202,
    });
  });

  it("frees its place by going away; who finds none is told to come back", async () => {
    const { url } = await desk({ maxWaiting: 1 });
    const headers = { ...json, prefer: "wait=60" };
    for (const accept of ["application/json", "text/event-stream"]) {
      const gone = request(`${url}/questions`, { method: "POST", headers: { ...headers, accept } });
      gone.on("error", () => {}); // it is cut off on purpose
      gone.end(JSON.stringify({ text: "never" }));
      await until(async () => {
        const { status } = await post(`${url}/questions`, { text: "why" }, headers);
        return status === 429;
      }, "the place to be taken");
      gone.destroy();
      await until(async () => {
        const { status } = await post(`${url}/questions`, { text: "why" }, headers);
        return status === 200;
      }, "the place to be free");
    }
  });

  it("is let go within a second when the source stops", async () => {
    const { url, running } = await desk();
    const held = post(`${url}/questions`, { text: "never" }, { ...json, prefer: "wait=60" });
    const streamed = await fetch(`${url}/questions`, {
      method: "POST",
      headers: { ...json, accept: "text/event-stream" },
      body: JSON.stringify({ text: "never" }),
    });
    const text = streamed.text();
    await until(
      async () =>
        ((await running.status()).connectors.find(({ name }) => name === "door")?.events ?? 0) >= 2,
      "both questions to be durable",
    );
    const start = performance.now();
    await running.stop(5_000);
    expect(await held).toMatchObject({ status: 202, body: { id: expect.any(String) } });
    expect(await text).toMatch(/event: unanswered\ndata: .*"reason":"stopping"\}\n\n$/);
    expect(performance.now() - start).toBeLessThan(3_000);
    expect(await isUp(url)).toBe(false);
  });
});

describe("an http source in standby", () => {
  it("does not listen, and takes over when the other stops", async () => {
    const dir = await folder();
    const [one, other] = [await freePort(), await freePort()];
    const first = await started(dir, [answering, sourceOf({ port: one })]);
    await until(() => isUp(`http://127.0.0.1:${one}`), "the first to listen");
    const second = await started(dir, [answering, sourceOf({ port: other })]);
    const state = async () =>
      (await second.status()).connectors.find(({ name }) => name === "door")?.state;
    await until(async () => (await state()) === "standby", "the second to stand by");
    expect(await isUp(`http://127.0.0.1:${other}`)).toBe(false);
    await first.stop(2_000);
    await until(() => isUp(`http://127.0.0.1:${other}`), "the second to listen");
    expect(await isUp(`http://127.0.0.1:${one}`)).toBe(false);
    expect(await post(`http://127.0.0.1:${other}`, stranger("1"))).toMatchObject({ status: 202 });
  });
});
