import { fork } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { PartReport } from "./part-child.ts";

/** A process that runs connectors. */
export interface Part {
  readonly startedMs: number;
  readonly last: () => PartReport | undefined;
  readonly peakRssBytes: () => number;
  readonly latenciesMs: readonly number[];
  /** Waits until `what` holds of a report; throws when the process ends first or it takes too long. */
  readonly until: (what: (report: PartReport) => boolean, withinMs: number) => Promise<PartReport>;
  readonly stop: () => Promise<void>;
}

const child = fileURLToPath(new URL("./part-child.js", import.meta.url));

export async function startPart(file: string, config: object): Promise<Part> {
  await writeFile(file, JSON.stringify(config));
  const startedMs = performance.timeOrigin + performance.now();
  const part = fork(child, [file], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const latenciesMs: number[] = [];
  let last: PartReport | undefined;
  let peak = 0;
  part.on("message", (message) => {
    last = message as PartReport; // nothing else is sent
    peak = Math.max(peak, last.rssBytes);
    latenciesMs.push(...last.latenciesMs);
  });
  const ended = once(part, "exit");
  return {
    startedMs,
    last: () => last,
    peakRssBytes: () => peak,
    latenciesMs,
    until: async (what, withinMs) => {
      const deadline = performance.now() + withinMs;
      while (!last || !what(last)) {
        if (part.exitCode !== null) throw new Error(`a part of the bench ended (${part.exitCode})`);
        if (performance.now() > deadline)
          throw new Error(`not within ${withinMs} ms; last: ${JSON.stringify(last)}`);
        await sleep(5);
      }
      return last;
    },
    stop: async () => {
      if (part.exitCode === null && part.connected) part.send("stop");
      await ended;
    },
  };
}
