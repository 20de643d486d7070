import type { Citation, QuestionAsked } from "sluice";
import { namesIn, termsOf, type Terms } from "./terms.ts";

interface Thresholds {
  readonly minOverlap: number;
  readonly minScore: number;
  readonly maxSentences: number;
}

interface Candidate {
  readonly sentence: string;
  readonly citation: Citation;
  /** Those of the question's terms that it has. */
  readonly has: Terms;
  readonly overlap: number;
}

/** Of sentences that fit about as well, the newest counts. */
const asWell = { overlap: 0.05, score: 0.15 };
const maxSentenceLength = 600;
const hasDigit = /\p{N}/u;
const sentences = new Intl.Segmenter("en", { granularity: "sentence" });

/**
 * The sentences that answer a question, quoted and cited: those that share the most words with it; further ones only
 * where they have words of it that the ones before lack. `undefined` where none shares enough. It understands nothing.
 */
export function extract(
  { data }: QuestionAsked,
  passages: readonly Citation[],
  { minOverlap, minScore, maxSentences }: Thresholds,
): { readonly text: string; readonly citations: readonly Citation[] } | undefined {
  // A follow-up may have no words of its own: "And why?"
  const question = termsOf(data.text).size > 0 ? data.text : (data.query ?? "");
  const asked = termsOf(question);
  if (asked.size === 0) return undefined;
  const names = namesIn(question);
  const candidates = passages
    .filter(({ score, passage }) => score >= minScore && !isOfOther(names, passage))
    .flatMap((citation) =>
      sentencesOf(citation.passage).map((sentence): Candidate => {
        const has = shared(asked, termsOf(sentence));
        return { sentence, citation, has, overlap: has.size / asked.size };
      }),
    )
    .filter(({ overlap }) => overlap >= minOverlap && overlap > 0);

  const chosen: Candidate[] = [];
  const missing = new Set(asked);
  for (let rest = candidates; rest.length > 0 && chosen.length < maxSentences;) {
    const best = bestOf(rest);
    chosen.push(best);
    for (const term of best.has) missing.delete(term);
    rest = rest.filter(({ has }) => [...has].some((term) => missing.has(term)));
  }
  if (chosen.length === 0) return undefined;
  const citations = passages.filter((one) => chosen.some(({ citation }) => citation === one));
  const text = chosen.map(({ sentence, citation }) => `“${sentence}” [${citation.n}]`).join("\n");
  return { text, citations };
}

function bestOf(candidates: readonly Candidate[]): Candidate {
  const most = Math.max(...candidates.map(({ overlap }) => overlap));
  const fitting = candidates.filter(({ overlap }) => overlap >= most - asWell.overlap);
  const score = Math.max(...fitting.map(({ citation }) => citation.score));
  const [first, ...rest] = fitting.filter(({ citation }) => citation.score >= score - asWell.score);
  if (first === undefined) throw new TypeError("nothing to choose from"); // never called so
  return rest.reduce((best, one) => (isNewer(one.citation, best.citation) ? one : best), first);
}

/** Versions of two origins say nothing of each other. */
function isNewer(one: Citation, other: Citation): boolean {
  return one.source === other.source && one.version > other.version;
}

function sentencesOf(passage: string): readonly string[] {
  const found = passage
    .split(/\n\s*\n|\n(?=\s*(?:[-*#>|]|\d+[.)]))/)
    .flatMap((block) => [...sentences.segment(block.replaceAll(/\s+/g, " "))])
    .map(({ segment }) => segment.replace(/^[\s#>*-]+/, "").trim())
    .filter((sentence) => sentence !== "");
  return withoutQuestions(found).map((sentence) =>
    sentence.length > maxSentenceLength ? `${sentence.slice(0, maxSentenceLength)}…` : sentence,
  );
}

/** A question answers nothing, though no sentence is more like what was asked: it goes with the one that follows it. */
function withoutQuestions(sentences: readonly string[]): readonly string[] {
  const told: string[] = [];
  let asked = "";
  for (const sentence of sentences) {
    const whole = asked === "" ? sentence : `${asked} ${sentence}`;
    asked = sentence.endsWith("?") ? whole : "";
    if (asked === "") told.push(whole);
  }
  return told;
}

/** Of another thing than the one that was asked for: it lacks more of the names than it has. */
function isOfOther(names: Terms, passage: string): boolean {
  if (names.size === 0) return false;
  const terms = termsOf(passage);
  const has = [...names].filter((name) => terms.has(name));
  return has.length < names.size / 2;
}

function shared(asked: Terms, there: Terms): Terms {
  const words = [...there];
  return new Set([...asked].filter((term) => words.some((word) => areAlike(term, word))));
}

/** The same word in two forms: "stream", "streaming". */
function areAlike(one: string, other: string): boolean {
  if (one === other) return true;
  if (hasDigit.test(one) || hasDigit.test(other)) return false;
  const [short, long] = one.length < other.length ? [one, other] : [other, one];
  if (short.length < 4) return false;
  let common = 0;
  while (common < short.length && short[common] === long[common]) common += 1;
  return common >= 4 && common >= long.length * 0.65;
}
