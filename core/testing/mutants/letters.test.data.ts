import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { PoisonError, SluiceError } from "../../errors.ts";
import { defineEmbedder } from "../../extension.ts";

/** One thing each that the embedder does wrong. */
const faults = [
  "is not what it is described as",
  "shuffles its answers",
  "makes vectors too short",
  "does not normalise",
  "adds noise",
  "differs by process",
  "is infinite for long texts",
  "has another fingerprint each time",
  "has one fingerprint for all dimensions",
  "knows one vector only",
  "mixes up calls",
  "wants at least one text",
  "takes fewer texts than it says",
  "embeds what is empty",
  "cuts what is too long",
  "counts characters of the first word",
  "ignores its abort",
  "settles late",
  "closes once",
  "leaves a timer",
  "leaves a listener",
  "leaves a quiet timer",
  "tells its token",
  "prints its token",
] as const;

const maxTokens = 40;
const code = "letters.refused";

/** Counts the letters of a text: near are those that use the same ones. */
export const letters = defineEmbedder({
  name: "letters",
  version: "1.0.0",
  summary: "Counts letters.",
  config: z.strictObject({
    token: z.string().min(1).optional().meta({ secret: true }).describe("For nothing."),
    dimensions: z.number().int().min(2).default(26).describe("Numbers of a vector."),
    broken: z.enum(faults).optional().describe("What it does wrong."),
  }),
  describe: async ({ config: { dimensions, broken } }) => ({
    fingerprint: fingerprintOf(dimensions, broken),
    dimensions,
    maxTokens: broken === "is not what it is described as" ? 7 : maxTokens,
    countTokens: counterOf(broken),
  }),
  async open({ config: { token, dimensions, broken } }) {
    const is = (fault: (typeof faults)[number]) => broken === fault;
    if (is("tells its token") && token)
      throw new SluiceError("letters: refused.", { code, cause: new Error(`Bearer ${token}`) });
    if (is("leaves a quiet timer")) setInterval(() => {}, 1_000).unref();
    if (is("prints its token")) console.log({ token });
    if (is("leaves a timer")) setInterval(() => {}, 1_000);
    const countTokens = counterOf(broken);
    let isClosed = false;
    let current: readonly string[] = [];
    return {
      fingerprint: fingerprintOf(dimensions, broken),
      dimensions,
      maxTexts: 20,
      maxTokens,
      maxTokensPerRequest: 20 * maxTokens,
      countTokens,
      embed: async (texts, { signal }) => {
        if (is("leaves a listener")) signal.addEventListener("abort", () => {});
        if (is("settles late")) await sleep(2);
        if (is("settles late") && signal.aborted) await sleep(1_200);
        if (!is("ignores its abort")) signal.throwIfAborted();
        if (texts.length === 0 && is("wants at least one text")) throw new Error("letters: none.");
        if (texts.length > (is("takes fewer texts than it says") ? 10 : 20))
          throw new RangeError("letters: too many texts.");
        current = texts;
        if (is("mixes up calls")) await sleep(1);
        const vectors = (is("mixes up calls") ? current : texts).map((text) => {
          if (text.trim() === "" && !is("embeds what is empty"))
            throw new PoisonError("letters: an empty text.", { code });
          if (countTokens(text) > maxTokens && !is("cuts what is too long"))
            throw new PoisonError("letters: too long a text.", { code });
          if (is("is infinite for long texts") && text.length > 100)
            return new Float32Array(dimensions).fill(Infinity);
          const vector = counted(is("knows one vector only") ? "x" : text, dimensions);
          if (is("adds noise")) return normalised(vector.map((one) => one + Math.random() * 0.1));
          if (is("differs by process")) vector[0] = ofProcess;
          return is("does not normalise") ? vector : normalised(vector);
        });
        if (is("makes vectors too short")) return vectors.map((one) => one.subarray(1));
        return is("shuffles its answers") ? vectors.toReversed() : vectors;
      },
      close: async () => {
        if (isClosed && is("closes once")) throw new Error("letters: closed already.");
        isClosed = true;
      },
    };
  },
});

function counterOf(broken: string | undefined) {
  const isFirst = broken === "counts characters of the first word";
  return (text: string) => {
    const some = text.trim().split(/\s+/);
    return isFirst ? (some[0]?.length ?? 0) : some.length;
  };
}

const ofProcess = 10 * Math.random();
let opened = 0;

function fingerprintOf(dimensions: number, broken: string | undefined): string {
  if (broken === "has another fingerprint each time") return `letters@${++opened}/26/normalised`;
  const isOne = broken === "has one fingerprint for all dimensions";
  return `letters@1/${isOne ? 26 : dimensions}/normalised`;
}

function normalised(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return vector.map((one) => one / length);
}

function counted(text: string, dimensions: number): Float32Array {
  const vector = new Float32Array(dimensions);
  for (const letter of text.toLowerCase()) {
    const at = (letter.codePointAt(0) ?? 0) % dimensions;
    vector[at] = (vector[at] ?? 0) + 1;
  }
  return vector;
}
