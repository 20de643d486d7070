import { appendFileSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import type { Vector } from "../../vectors.ts";

/** What the file of a store holds. */
export interface Kept {
  readonly dimensions: number;
  readonly spaces: Map<string, Map<string, Vector>>;
}

/** A write: whole vectors, and ids that go. */
export interface Change {
  readonly space: string;
  readonly upsert?: readonly Vector[];
  readonly remove?: readonly string[];
}

type PlainVector = Omit<Vector, "values"> & { readonly values: readonly number[] };
type Line =
  | {
      readonly dimensions: number;
      readonly spaces: readonly (readonly [string, readonly PlainVector[]])[];
    }
  | {
      readonly space: string;
      readonly upsert: readonly PlainVector[];
      readonly remove: readonly string[];
    };

/** Adds a write, whatever others write at the same time. */
export function change(path: string, { space, upsert = [], remove = [] }: Change): void {
  const line: Line = { space, upsert: upsert.map(plain), remove };
  appendFileSync(path, `\n${JSON.stringify(line)}`);
}

/** Puts a file in its place that holds this, and nothing else. */
export function replace(path: string, { dimensions, spaces }: Kept): void {
  const all = [...spaces].map(([name, held]) => [name, [...held.values()].map(plain)] as const);
  const whole: Line = { dimensions, spaces: all };
  writeFileSync(`${path}.new`, JSON.stringify(whole));
  renameSync(`${path}.new`, path);
}

export function kept(path: string): Kept {
  let all: Kept = { dimensions: 0, spaces: new Map() };
  for (const text of readFileSync(path, "utf8").split("\n")) {
    const line = parsed(text);
    if (!line) continue;
    if ("spaces" in line)
      all = {
        dimensions: line.dimensions,
        spaces: new Map(line.spaces.map(([name, held]) => [name, byId(held)])),
      };
    else apply(all, { ...line, upsert: [...byId(line.upsert).values()] });
  }
  return all;
}

export function apply({ spaces }: Kept, { space, upsert = [], remove = [] }: Change): void {
  const held = spaces.get(space) ?? new Map<string, Vector>();
  spaces.set(space, held);
  for (const one of upsert) held.set(one.id, one);
  for (const id of remove) held.delete(id);
}

function parsed(text: string): Line | undefined {
  try {
    return JSON.parse(text) as Line; // as it is written above
  } catch {
    // Its writer was killed before it was whole.
    return undefined;
  }
}

function plain(vector: Vector): PlainVector {
  return { ...vector, values: [...vector.values] };
}

function byId(vectors: readonly PlainVector[]): Map<string, Vector> {
  return new Map(
    vectors.map((one) => [one.id, { ...one, values: Float32Array.from(one.values) }] as const),
  );
}
