import { openTexts } from "./texts.ts";

/** One change of the one document that both sides keep. */
export interface Edit {
  readonly kind: "paragraph" | "insertion" | "metadata" | "nothing";
  readonly paragraphs: readonly string[];
  readonly metadata: { readonly author: string; readonly category: string };
}

/** What a change cost. */
export interface Cost {
  readonly embeds: number;
  readonly written: number;
  readonly deleted: number;
  readonly requests: number;
  readonly bytes: number;
  readonly ms: number;
}

/** What keeps an index equal to a document that changes. */
export interface Keeper {
  readonly name: string;
  /** Resolves when the index has it. */
  readonly apply: (edit: Edit) => Promise<Cost>;
  readonly close: () => Promise<void>;
}

const author = { author: "Ann", category: "articles" };

/** The first is the document itself, of so many paragraphs, each a chunk of its own. */
export function* editsOf(paragraphs: number, count: number): Generator<Edit> {
  const texts = openTexts(11);
  // Two would not fit one chunk of the 40 tokens that both sides are told to cut at.
  const next = () => texts.next(24);
  let now = Array.from({ length: paragraphs }, next);
  yield { kind: "nothing", paragraphs: now, metadata: author };
  for (let n = 0; n < count; n++) {
    now = now.with(Math.floor((n / Math.max(1, count - 1)) * (now.length - 1)), next());
    yield { kind: "paragraph", paragraphs: now, metadata: author };
  }
  yield { kind: "nothing", paragraphs: now, metadata: author };
  now = [next(), ...now];
  yield { kind: "insertion", paragraphs: now, metadata: author };
  yield { kind: "metadata", paragraphs: now, metadata: { ...author, author: "Bob" } };
}

/** Mean costs by kind; the first writing of the document is a kind of its own. Closes the keeper. */
export async function measureEdits(
  keeper: Keeper,
  edits: Iterable<Edit>,
): Promise<Readonly<Record<string, Cost>>> {
  const costs = new Map<string, Cost[]>();
  let isFirst = true;
  for (const edit of edits) {
    const kind = isFirst ? "first" : edit.kind;
    isFirst = false;
    costs.set(kind, [...(costs.get(kind) ?? []), await keeper.apply(edit)]);
  }
  await keeper.close();
  return Object.fromEntries([...costs].map(([kind, all]) => [kind, meanOf(all)]));
}

const parts = ["embeds", "written", "deleted", "requests", "bytes", "ms"] as const;

function meanOf(costs: readonly Cost[]): Cost {
  const mean = (part: (typeof parts)[number]) =>
    Math.round((costs.reduce((sum, cost) => sum + cost[part], 0) / costs.length) * 100) / 100;
  return {
    embeds: mean("embeds"),
    written: mean("written"),
    deleted: mean("deleted"),
    requests: mean("requests"),
    bytes: mean("bytes"),
    ms: mean("ms"),
  };
}

/** Of two sides, what one costs for each unit that the other does; `null` where that one costs nothing. */
export function ratios(of: Cost, to: Cost): Readonly<Record<string, number | null>> {
  return Object.fromEntries(
    parts.map((part) => [
      part,
      to[part] === 0 ? null : Math.round((of[part] / to[part]) * 10) / 10,
    ]),
  );
}
