import { setTimeout as sleep } from "node:timers/promises";
import type { Running } from "../../core/runtime/runner.ts";
import type { Step } from "./scenario.ts";

/** Waits until the folder as it was found is in the index, or a connector has stopped for good. */
export async function firstSync(
  running: Running,
  { withinMs, signal }: { readonly withinMs: number; readonly signal: AbortSignal },
): Promise<Step> {
  const began = performance.now();
  for (;;) {
    const { connectors, queueAnswers } = await running.status();
    const ms = performance.now() - began;
    const troubled = connectors.find(({ error }) => error !== undefined);
    const source = connectors.find(({ kind }) => kind === "source");
    const waiting = connectors.flatMap(({ subscriptions = [] }) => subscriptions);
    const ok =
      queueAnswers &&
      source?.progress?.phase === "streaming" &&
      waiting.every((one) => one.waiting === 0);
    const seen = troubled?.error
      ? `${troubled.name}: ${troubled.error.message} ${troubled.error.fix ?? ""}`
      : `${source?.events ?? 0} files read, as new or changed`;
    if (ok || troubled?.state === "failed" || ms > withinMs)
      return { name: "the folder is in the index", ok, ms, seen };
    await sleep(25, undefined, { signal });
  }
}
