import { readFileSync, renameSync, writeFileSync } from "node:fs";
import type { Vector } from "../../vectors.ts";

/** What the file of a store holds. */
export interface Kept {
  readonly dimensions: number;
  readonly spaces: Map<string, Map<string, Vector>>;
}

export function keep(path: string, { dimensions, spaces }: Kept): void {
  const plain = [...spaces].map(([name, held]) => [
    name,
    [...held].map(([id, one]) => [id, { ...one, values: [...one.values] }]),
  ]);
  writeFileSync(`${path}.new`, JSON.stringify({ dimensions, spaces: plain }));
  renameSync(`${path}.new`, path);
}

export function kept(path: string): Kept {
  const { dimensions, spaces } = JSON.parse(readFileSync(path, "utf8")) as {
    readonly dimensions: number;
    readonly spaces: readonly (readonly [string, readonly (readonly [string, Vector])[]])[];
  }; // as `keep` wrote it
  const revived = (one: Vector) => ({ ...one, values: Float32Array.from(one.values) });
  return {
    dimensions,
    spaces: new Map(
      spaces.map(([name, held]) => [name, new Map(held.map(([id, one]) => [id, revived(one)]))]),
    ),
  };
}
