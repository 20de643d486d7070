import assert from "node:assert/strict";
import { upserted, type SluiceEvent } from "../../event.ts";
import { version } from "../../version.ts";
import { partitionOf } from "../partition.ts";
import type { Batch, Seen } from "./recorder.ts";

/** Per key everything from 1 to the last one sent, in order; where repeats are allowed, only of what came before. */
export function assertExact(
  seen: readonly Seen[],
  sent: Readonly<Record<string, number>>,
  { repeats = false } = {},
): void {
  const last = new Map<string, number>();
  const highest = new Map<string, number>();
  for (const { key, n } of seen) {
    const before = last.get(key) ?? 0;
    const isNext = n === before + 1;
    assert.ok(isNext || (repeats && n <= before), `${key}: ${n} came after ${before}`);
    last.set(key, n);
    highest.set(key, Math.max(n, highest.get(key) ?? 0));
  }
  assert.deepEqual(
    Object.fromEntries([...highest].toSorted(byJson)),
    Object.fromEntries(Object.entries(sent).toSorted(byJson)),
  );
}

/** What two processes saw, by the time they saw it. */
export function inOrder(...all: readonly (readonly Seen[])[]): readonly Seen[] {
  return all.flat().toSorted((a, b) => a.at - b.at);
}

export function partitionsOf(keys: readonly string[], partitions: number): ReadonlySet<number> {
  return new Set(keys.map((key) => partitionOf(change(key, 1), partitions)));
}

export function change(
  key: string,
  n: number,
  { audience, after = { n } }: { audience?: string; after?: Record<string, unknown> } = {},
): SluiceEvent {
  return upserted({
    source: "/conformance",
    key,
    subject: key,
    version: versionOf(n),
    time: "2026-01-01T00:00:00Z",
    op: "update",
    after: after as { readonly n: number },
    meta: {},
    ...(audience && { audience }),
  });
}

export function versionOf(n: number) {
  return version({ epoch: 0, position: BigInt(n), rank: 1, tail: 0 });
}

export function nOf(event: SluiceEvent): number {
  const { sequence } = event as { readonly sequence: string };
  return Number(`0x${sequence.slice(8, 24)}`);
}

export function summary({ events, redelivered }: Batch) {
  return { events: events.map((event) => `${event.subject}${nOf(event)}`), redelivered };
}

export function range(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}

export function byJson(a: unknown, b: unknown): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}
