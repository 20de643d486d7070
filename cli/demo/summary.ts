import type { PipelineStatus } from "../../core/runtime/status.ts";
import type { Output } from "../output.ts";
import type { Step } from "./scenario.ts";

export interface Summary {
  readonly ok: boolean;
  /** Of the steps that changed a file. */
  readonly p50Ms: number;
  readonly maxMs: number;
  /** Passages the model was run on. */
  readonly embedded: number;
  readonly fromCache: number;
  readonly peakMiB: number;
  /** What was not observed. */
  readonly missed?: string;
}

export function summarize(
  steps: readonly Step[],
  status: PipelineStatus,
  peakMiB: number,
): Summary {
  const times = steps
    .slice(2)
    .map(({ ms }) => Math.round(ms))
    .toSorted((a, b) => a - b);
  const missed = steps.find(({ ok }) => !ok);
  const count = (name: string) =>
    status.connectors.reduce((sum, { counters }) => sum + (counters[name] ?? 0), 0);
  return {
    ok: missed === undefined && times.length > 0,
    p50Ms: times[times.length >> 1] ?? 0,
    maxMs: times.at(-1) ?? 0,
    embedded: count("embeds"),
    fromCache: count("vector_cache_hits"),
    peakMiB,
    ...(missed && { missed: missed.name }),
  };
}

export function summaryText(summary: Summary, { paint }: Output): string {
  const { ok, p50Ms, maxMs, embedded, fromCache, peakMiB, missed } = summary;
  if (!ok) return `\n${paint("red", `Not observed: ${missed ?? "nothing was played"}.`)}`;
  return [
    `\n${paint("green", "Every step was observed.")} File write to searchable: p50 ${p50Ms} ms, longest ${maxMs} ms.`,
    `${embedded} passages embedded, ${fromCache} taken from the vector cache; peak memory ${peakMiB} MiB.`,
  ].join("\n");
}

export function stepText({ ok, ms, name, seen }: Step, { paint }: Output): string {
  const glyph = ok ? paint("green", "✓") : paint("red", "✗");
  return `${glyph} ${name.padEnd(28)} ${String(Math.round(ms)).padStart(6)} ms   ${paint("dim", seen)}`;
}
