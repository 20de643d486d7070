import { describe, expect, it } from "vitest";
import { defineTransform, type Applicable, type Output } from "../connector.ts";
import { PartialError, PoisonError } from "../errors.ts";
import { deleted, upserted, type SluiceEvent } from "../event.ts";
import { z } from "../index.ts";
import { version } from "../version.ts";
import type { OpenStage } from "./outcome.ts";
import { throughStages, type Slot } from "./stages.ts";

const { signal } = new AbortController();
const change = (subject: string) => ({
  source: "/t",
  key: subject,
  subject,
  version: version({ epoch: 1, position: 7n, rank: 0, tail: 0 }),
  time: "2026-01-01T00:00:00Z",
  meta: {},
});
const record = (subject: string) => upserted({ ...change(subject), op: "create", after: {} });

function stage(
  use: string,
  apply: (event: Applicable) => Output,
  accepts: readonly string[] = [""],
): OpenStage {
  const worker = { apply: async (events: readonly Applicable[]) => events.map(apply) };
  const config = z.strictObject({});
  const transform = defineTransform({
    name: use,
    version: "1.2.3",
    summary: "",
    config,
    accepts,
    emits: [""],
    open: async () => worker,
  });
  return { use, transform, config: {}, configHash: "c0ffee00", worker };
}

const toDocument = stage("parse", (event) => ({
  ...(event as ReturnType<typeof record>),
  type: "dev.sluice.document.upserted" as const,
  data: { key: "a", text: "t", metadata: {}, lineage: ["forged"] },
}));

const run = async (stages: readonly OpenStage[], events: readonly SluiceEvent[]) => {
  const slots: Slot[] = [];
  const write = async (some: readonly Slot[]) => (slots.push(...some), []);
  const fence = { lease: "test", token: 1 };
  const failures = await throughStages(stages, events, { signal, fence, write });
  return { events: slots.map(({ event }) => event), ats: slots.map(({ at }) => at), failures };
};

describe("inline transforms", () => {
  it("make of a message a record with a name of its own", async () => {
    const message = {
      specversion: "1.0",
      id: "m1",
      source: "/me",
      type: "note",
      time: change("a").time,
    };
    const { events, failures } = await run([stage("correct", () => record("a"))], [message]);
    expect(failures).toEqual([]);
    expect(events).toEqual([{ ...record("a"), id: "m1~correct" }]);
  });

  it("name their work in the id and leave their mark in the lineage", async () => {
    const { events } = await run([toDocument], [record("a")]);
    expect(events[0]?.id).toBe(`${record("a").id}~parse`);
    expect(events[0]?.data).toMatchObject({ lineage: ["parse@1.2.3:c0ffee00"] });
  });

  it("leave no mark where they only annotate", async () => {
    const counts = stage("tokenize", (event) => ({
      ...event,
      data: { ...(event.data as object), model: "m" },
    }));
    const annotating = { ...counts, transform: { ...counts.transform, annotates: true } };
    const { events } = await run([toDocument, annotating], [record("a")]);
    expect(events[0]?.id).toBe(`${record("a").id}~parse~tokenize`);
    expect(events[0]?.data).toMatchObject({ model: "m", lineage: ["parse@1.2.3:c0ffee00"] });
  });

  it("pass deletes on, unless they absorb them", async () => {
    const keeps = stage("converse", () => null);
    const absorbs = ["dev.sluice.record.deleted"];
    const absorbing = { ...keeps, transform: { ...keeps.transform, absorbs } };
    const gone = deleted(change("a"));
    expect((await run([keeps], [gone])).events).toEqual([gone]);
    expect((await run([absorbing], [gone])).events).toEqual([]);
  });

  it("leave no mark on an event they return as it came", async () => {
    const input = record("a");
    const { events } = await run([stage("keep", (event) => event)], [input]);
    expect(events[0]).toBe(input);
  });

  it("turn null into a delete of the same record and version", async () => {
    const { events } = await run([stage("filter", () => null)], [record("a")]);
    expect(events).toEqual([{ ...deleted(change("a")), id: `${record("a").id}~filter` }]);
  });

  it("make nothing of a change that is skipped, and go on with the others", async () => {
    const skipB = stage("render", (event) => (event.subject === "b" ? "skip" : event));
    const { events, ats, failures } = await run(
      [skipB, toDocument],
      [record("a"), record("b"), deleted(change("b")), record("c")],
    );
    expect(events.map(({ id }) => id)).toEqual([
      `${record("a").id}~parse`,
      deleted(change("b")).id,
      `${record("c").id}~parse`,
    ]);
    expect(ats).toEqual([0, 2, 3]);
    expect(failures).toEqual([]);
  });

  it("let deletes pass, in their place", async () => {
    const gone = deleted(change("b"));
    const { events, ats } = await run([toDocument], [record("a"), gone, record("c")]);
    expect(events[1]).toBe(gone);
    expect(ats).toEqual([0, 1, 2]);
  });

  it("report a failing event by its place and bring the others through", async () => {
    const picky: OpenStage = {
      ...stage("picky", (event) => event),
      worker: {
        apply: async (events) => {
          const at = events.findIndex(({ subject }) => subject === "b");
          if (at === -1) return events;
          const failures = new Map([[at, new PoisonError("b", { code: "test.b" })]]);
          throw new PartialError("some failed", { code: "test.partial", failures });
        },
      },
    };
    const result = await run([picky, toDocument], [record("a"), record("b"), record("c")]);
    expect(result.ats).toEqual([0, 2]);
    expect(result.failures).toMatchObject([{ at: 1, stage: "picky" }]);
  });

  it("refuse what a transform does not accept", async () => {
    const documentsOnly = stage("chunk", (event) => event, ["dev.sluice.document."]);
    const { events, failures } = await run([documentsOnly], [record("a")]);
    expect(events).toEqual([]);
    expect(failures[0]?.error).toMatchObject({ code: "event.unaccepted" });
  });

  it("reject a transform that changes whose event it is", async () => {
    const thief = stage("thief", (event) => ({ ...event, subject: "b" }));
    await expect(run([thief], [record("a")])).rejects.toMatchObject({
      cause: { code: "transform.contract" },
    });
  });
});
