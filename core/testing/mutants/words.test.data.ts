import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { childOf } from "../../child.ts";
import { defineTransform, type Applicable, type Output } from "../../connector.ts";
import { PartialError, PoisonError, SluiceError } from "../../errors.ts";
import { isUpsert, type JsonObject, type RecordUpserted } from "../../event.ts";
import { record } from "../fakes/records.ts";
import { openService } from "./service.test.data.ts";

/** One thing each that the transform does wrong. */
const faults = [
  "says that it accepts something else",
  "answers a record's change with what the record was",
  "drops a slot",
  "emits what it does not say",
  "does not say that it splits",
  "makes two parts of one key",
  "changes the subject",
  "changes the key",
  "drops the audience",
  "drops the trace",
  "says what JSON cannot",
  "makes records of nothing",
  "answers twenty-five at most",
  "differs by process",
  "remembers",
  "remembers for ever what a subject was",
  "names events at random",
  "mixes up partitions",
  "changes its input",
  "stumbles over nothing",
  "skips what it should let go",
  "fails as a whole",
  "names what did not fail",
  "names what failed in its chunk",
  "settles late",
  "waits for its service whatever its abort",
  "closes once",
  "leaves a timer",
  "leaves a listener",
  "leaves a quiet timer",
  "tells its token",
  "counts by its token",
  "tells its token with what it refuses",
] as const;

const code = "words.refused";

/** By subject, of whoever is open. */
const seenByProcess = new Map<string, JsonObject>();

/** Shouts; lets go what is hidden, splits what has parts, and refuses what is bad. */
export const words = defineTransform({
  name: "words",
  version: "1.0.0",
  summary: "Shouts.",
  config: z.strictObject({
    token: z.string().min(1).optional().meta({ secret: true }).describe("For nothing."),
    broken: z.enum(faults).optional().describe("What it does wrong."),
  }),
  accepts: ["dev.sluice.record."],
  emits: ["dev.sluice.record."],
  async open({ config: { token, broken }, log, meter }) {
    const is = (fault: (typeof faults)[number]) => broken === fault;
    if (is("tells its token")) log.debug({ authorization: `Bearer ${token}` }, "opened");
    if (is("leaves a quiet timer")) setInterval(() => {}, 1_000).unref();
    if (is("counts by its token")) meter("opened", 1, { token: String(token) });
    if (is("leaves a timer")) setInterval(() => {}, 1_000);
    const service = is("waits for its service whatever its abort")
      ? await openService()
      : undefined;
    let [count, isClosed] = [0, false];
    const seen = new Map<string, JsonObject>();
    let current: readonly Applicable[] = [];

    const made = (event: RecordUpserted): Output => {
      const { subject } = event;
      const isStale = is("answers a record's change with what the record was");
      const isKept = is("remembers for ever what a subject was");
      const known = isKept ? seenByProcess : seen;
      const after = ((isStale || isKept) && known.get(subject)) || event.data.after;
      known.set(subject, after);
      if (after["hidden"] === true) return is("skips what it should let go") ? "skip" : null;
      const parts = after["parts"];
      if (Array.isArray(parts))
        return parts.map((text, at) => {
          const key = is("makes two parts of one key") ? "same" : String(at);
          const data = { ...event.data, after: { text: String(text) } };
          return childOf<RecordUpserted>(event, key, { type: event.type, data });
        });
      count += 1;
      const text =
        `${JSON.stringify(after["text"])}${is("remembers") ? count : ""}${is("differs by process") ? process.pid : ""}`.toUpperCase();
      const data = { ...event.data, after: { text } };
      const id = is("names events at random") ? randomUUID() : `${event.id}~words`;
      if (is("changes its input")) Object.assign(event.data, { changed: true });
      if (is("changes the key")) return { ...event, id, data: { ...data, key: "other" } };
      if (is("says what JSON cannot"))
        return { ...event, id, data: { ...data, after: { text, count: NaN } } };
      if (is("makes records of nothing"))
        return { ...event, id, data: { key: data.key } as unknown as typeof data };
      const { audience, traceparent, ...rest } = event;
      if (is("drops the audience"))
        return { ...rest, ...(traceparent && { traceparent }), id, data };
      if (is("drops the trace")) return { ...rest, ...(audience && { audience }), id, data };
      if (is("changes the subject")) return { ...event, id, data, subject: "other" };
      if (is("emits what it does not say"))
        return { specversion: "1.0", id, type: "com.example", source: event.source };
      return { ...event, id, data };
    };
    return {
      splits: !is("does not say that it splits"),
      apply: async (events, { signal }) => {
        if (is("leaves a listener")) signal.addEventListener("abort", () => {});
        await service?.ask();
        if (is("settles late")) await sleep(2);
        if (is("settles late") && signal.aborted) await sleep(1_200);
        if (is("stumbles over nothing") && events.length === 0) throw new Error("words: nothing.");
        current = events;
        if (is("mixes up partitions")) await sleep(1);
        const given = (is("mixes up partitions") ? current : events).filter(isRecord);
        const bad = given.flatMap(({ data }, at) => (data.after["bad"] === true ? [at] : []));
        if (bad.length > 0) {
          const by = is("tells its token with what it refuses") ? ` Bearer ${token}` : "";
          const error = new PoisonError(`words: refused${by}.`, { code });
          if (is("fails as a whole")) throw error;
          const placeOf = (at: number) => {
            if (is("names what failed in its chunk")) return at % 16;
            return is("names what did not fail") ? 0 : at;
          };
          const failures = new Map(bad.map((at) => [placeOf(at), error]));
          throw new PartialError("words: some failed.", { code, failures });
        }
        const most = is("answers twenty-five at most") ? 25 : Infinity;
        return given.map(made).slice(is("drops a slot") ? 1 : 0, most);
      },
      close: async () => {
        if (isClosed && is("closes once"))
          throw new SluiceError("words: closed already.", { code });
        isClosed = true;
        await service?.close();
      },
    };
  },
});

function isRecord(event: Applicable): event is RecordUpserted {
  return isUpsert(event) && event.type === "dev.sluice.record.upserted";
}

const about = (subject: string, after: JsonObject) => record(subject, after);
export const samples = [
  about("1", { text: "one" }),
  about("2", { text: "two" }),
  about("3", { hidden: true }),
  about("4", { parts: ["a", "b", "c"] }),
  about("5", { parts: ["a"] }),
];
export const poison = about("6", { bad: true });
