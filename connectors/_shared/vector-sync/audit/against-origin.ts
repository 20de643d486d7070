import { setTimeout as sleep } from "node:timers/promises";
import type { Auditor, Drift, OriginReading } from "sluice";
import { originCheck, type Suspect } from "./origin.ts";

type How = Parameters<Auditor["verify"]>[0];

/** So often the origin is read at most: each record has to be right once, or wrong twice. */
const maxRounds = 4;
const lookAgainMs = 250;

/**
 * Reads the origin, and if something differs waits for it to get here; then reads it once more. Drift is
 * what the origin held two times in a row while the notes, with nothing left to handle, stood still. What
 * was right in one of the readings is right; what changed all the while is counted as unsettled.
 */
export async function* againstOrigin(
  read: () => OriginReading,
  { settled, patienceMs }: How,
  options: Parameters<typeof originCheck>[0],
  counts: { compared: number; unsettled: number },
  signal: AbortSignal,
): AsyncGenerator<Drift, void> {
  let before: ReadonlyMap<string, Suspect> | undefined;
  for (let round = 1; round <= maxRounds; round++) {
    const open = new Map<string, Suspect>();
    const isSettled = before !== undefined && (await settled());
    for (const suspect of await suspectsNow()) {
      const { docKey, wanted, revision, drift } = suspect;
      const last = before?.get(docKey);
      if (before !== undefined && last === undefined) continue; // it was right a moment ago
      if (isSettled && last?.wanted === wanted && last.revision === revision) yield drift;
      else open.set(docKey, suspect);
    }
    if (open.size === 0) return;
    before = open;
  }
  counts.unsettled += before?.size ?? 0;

  async function suspectsNow(): Promise<readonly Suspect[]> {
    const origin = originCheck(options);
    await origin.begin(signal);
    counts.compared = 0;
    const reading = read();
    for await (const document of reading.documents) {
      await origin.see(document, signal);
      counts.compared += 1;
    }
    await origin.end(reading, signal);
    const first = await origin.suspects();
    const revisions = new Map(first.map(({ docKey, revision }) => [docKey, revision]));
    const until = performance.now() + patienceMs;
    for (let suspects = first; ; suspects = await origin.suspects()) {
      // Notes that moved on tell of something later than what was read: waiting does not help these.
      const isWaitedFor = suspects.some((one) => revisions.get(one.docKey) === one.revision);
      if (!isWaitedFor || performance.now() > until) return suspects;
      await sleep(lookAgainMs, undefined, { signal });
    }
  }
}
