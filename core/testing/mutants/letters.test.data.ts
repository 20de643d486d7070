import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { PoisonError, SluiceError } from "../../errors.ts";
import { defineEmbedder } from "../../extension.ts";
import { openService } from "./service.test.data.ts";

/** One thing each that the embedder does wrong. */
const faults = [
  "is not what it is described as",
  "shuffles its answers",
  "makes vectors too short",
  "does not normalise",
  "does not normalise questions",
  "answers out of one buffer",
  "adds noise",
  "differs by process",
  "is infinite for long texts",
  "has a fingerprint by process",
  "has another fingerprint each time",
  "has one fingerprint for all dimensions",
  "has one fingerprint for all models",
  "knows one vector only",
  "mixes up calls",
  "wants at least one text",
  "takes fewer texts than it says",
  "embeds what is empty",
  "embeds tabs",
  "cuts what is too long",
  "cuts questions that are too long",
  "sees half of a long text",
  "sees half of a long question",
  "sees so many bytes",
  "takes fewer tokens than it says",
  "counts nothing but ASCII",
  "counts characters of the first word",
  "ignores its abort",
  "ignores the abort of questions",
  "waits for its service whatever its abort",
  "settles late",
  "closes once",
  "leaves a timer",
  "leaves a listener",
  "leaves a quiet timer",
  "tells its token",
  "tells its token with questions",
  "prints its token",
] as const;

const maxTokens = 40;
/** Of the longest text in Latin letters that has as many tokens: not all of one in others. */
const seenBytes = 205;
const code = "letters.refused";

/** Counts the letters of a text: near are those that use the same ones. */
export const letters = defineEmbedder({
  name: "letters",
  version: "1.0.0",
  summary: "Counts letters.",
  config: z.strictObject({
    token: z.string().min(1).optional().meta({ secret: true }).describe("For nothing."),
    dimensions: z.number().int().min(2).default(26).describe("Numbers of a vector."),
    model: z.enum(["plain", "weighted"]).default("plain").describe("What a letter counts."),
    // No choice of its users: it is not to be tried with another one.
    broken: z.string().pipe(z.enum(faults)).optional().describe("What it does wrong."),
  }),
  describe: async ({ config: { dimensions, model, broken } }) => ({
    fingerprint: fingerprintOf(dimensions, model, broken),
    dimensions,
    maxTokens: broken === "is not what it is described as" ? 7 : maxTokens,
    countTokens: counterOf(broken),
  }),
  async open({ log, config: { token, dimensions, model, broken } }) {
    const is = (fault: (typeof faults)[number]) => broken === fault;
    if (is("tells its token") && token)
      throw new SluiceError("letters: refused.", { code, cause: new Error(`Bearer ${token}`) });
    if (is("leaves a quiet timer")) setInterval(() => {}, 1_000).unref();
    if (is("prints its token")) console.log({ token });
    if (is("leaves a timer")) setInterval(() => {}, 1_000);
    const countTokens = counterOf(broken);
    const service = is("waits for its service whatever its abort")
      ? await openService()
      : undefined;
    const buffers: Float32Array[] = [];
    let isClosed = false;
    let current: readonly string[] = [];
    return {
      fingerprint: fingerprintOf(dimensions, model, broken),
      dimensions,
      maxTexts: 20,
      maxTokens,
      maxTokensPerRequest: 20 * maxTokens,
      countTokens,
      embed: async (texts, { input, signal }) => {
        const isQuestion = input === "query";
        if (is("tells its token with questions") && isQuestion) log.debug({ token }, "asked");
        if (is("leaves a listener")) signal.addEventListener("abort", () => {});
        if (is("settles late")) await sleep(2);
        if (is("settles late") && signal.aborted) await sleep(1_200);
        const isDeaf =
          is("ignores its abort") || (is("ignores the abort of questions") && isQuestion);
        if (!isDeaf) signal.throwIfAborted();
        await service?.ask();
        if (texts.length === 0 && is("wants at least one text")) throw new Error("letters: none.");
        if (texts.length > (is("takes fewer texts than it says") ? 10 : 20))
          throw new RangeError("letters: too many texts.");
        const tokens = texts.reduce((sum, text) => sum + countTokens(text), 0);
        if (is("takes fewer tokens than it says") && tokens > 10 * maxTokens)
          throw new RangeError("letters: too many tokens.");
        current = texts;
        if (is("mixes up calls")) await sleep(1);
        const vectors = (is("mixes up calls") ? current : texts).map((text, at) => {
          const isEmpty = is("embeds tabs") ? /^[ \n]*$/.test(text) : text.trim() === "";
          if (isEmpty && !is("embeds what is empty"))
            throw new PoisonError("letters: an empty text.", { code });
          const isCut =
            is("cuts what is too long") || (is("cuts questions that are too long") && isQuestion);
          if (countTokens(text) > maxTokens && !isCut)
            throw new PoisonError("letters: too long a text.", { code });
          if (is("is infinite for long texts") && text.length > 100)
            return new Float32Array(dimensions).fill(Infinity);
          const seen = is("knows one vector only") ? "x" : seenOf(text, isQuestion, broken);
          const vector = counted(seen, dimensions, model);
          if (is("adds noise")) return normalised(vector.map((one) => one + Math.random() * 0.1));
          if (is("differs by process")) vector[0] = ofProcess;
          if (is("does not normalise") || (is("does not normalise questions") && isQuestion))
            return vector;
          if (!is("answers out of one buffer")) return normalised(vector);
          const buffer = (buffers[at] ??= new Float32Array(dimensions));
          buffer.set(normalised(vector));
          return buffer;
        });
        if (is("makes vectors too short")) return vectors.map((one) => one.subarray(1));
        return is("shuffles its answers") ? vectors.toReversed() : vectors;
      },
      close: async () => {
        if (isClosed && is("closes once")) throw new Error("letters: closed already.");
        await service?.close();
        isClosed = true;
      },
    };
  },
});

/** What one sees of a text that does not see all of it. */
function seenOf(text: string, isQuestion: boolean, broken: string | undefined): string {
  const isHalf =
    broken === "sees half of a long text" ||
    (broken === "sees half of a long question" && isQuestion);
  if (isHalf)
    return text
      .split(" ")
      .slice(0, maxTokens / 2)
      .join(" ");
  return broken === "sees so many bytes" ? String(Buffer.from(text).subarray(0, seenBytes)) : text;
}

function counterOf(broken: string | undefined) {
  const isFirst = broken === "counts characters of the first word";
  return (text: string) => {
    const told = broken === "counts nothing but ASCII" ? text.replaceAll(/\P{ASCII}/gu, "") : text;
    const some = told.trim().split(/\s+/);
    return isFirst ? (some[0]?.length ?? 0) : some.length;
  };
}

const ofProcess = 10 * Math.random();
let opened = 0;

function fingerprintOf(dimensions: number, model: string, broken: string | undefined): string {
  if (broken === "has another fingerprint each time") return `letters@${++opened}/26/normalised`;
  const ofModel = broken === "has one fingerprint for all models" ? "1" : model;
  const by = broken === "has a fingerprint by process" ? `${process.pid}-` : "";
  const isOne = broken === "has one fingerprint for all dimensions";
  return `letters@${by}${ofModel}/${isOne ? 26 : dimensions}/normalised`;
}

function normalised(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return vector.map((one) => one / length);
}

function counted(text: string, dimensions: number, model: string): Float32Array {
  const vector = new Float32Array(dimensions);
  for (const letter of text.toLowerCase()) {
    const at = (letter.codePointAt(0) ?? 0) % dimensions;
    vector[at] = (vector[at] ?? 0) + (model === "weighted" ? at + 1 : 1);
  }
  return vector;
}
