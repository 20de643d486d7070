import type { Source } from "../connector.ts";
import {
  definitionCases,
  type Case,
  type Outage,
  word,
  type WrittenConfig,
} from "./conformance.ts";
import { run } from "./fakes/run.ts";
import { state } from "./fakes/state.ts";
import { entriesOf } from "./overheard.ts";
import { secretCases } from "./secrets.ts";
import { checkpointCases } from "./source-checkpoints.ts";
import { crashCases } from "./source-crashes.ts";
import { deleteCases } from "./source-deletes.ts";
import { extentCases } from "./source-extent.ts";
import { killCases } from "./source-kills.ts";
import { outageCases } from "./source-outages.ts";
import { requestCases } from "./source-requests.ts";
import { restraintCases } from "./source-restraint.ts";
import { streamCases } from "./source-stream.ts";

/**
 * Hands at the origin, past the source. Every case uses keys of its own, letters and digits, so one
 * origin serves them all and need not be emptied between them.
 */
export interface Origin {
  /**
   * Makes the record `key` hold `text` (up to 100 KB), whether it is there or not. Resolves once the
   * origin has it, to the `subject` that its events carry.
   */
  readonly put: (key: string, text: string) => Promise<string>;
  /** Deletes a record that was put. Resolves once it is gone. Unused where `deletes` is false. */
  readonly remove: (key: string) => Promise<void>;
}

/** What the cases of a source share. */
export interface SourceBench {
  readonly source: Source;
  readonly config: WrittenConfig;
  readonly origin: Origin;
  readonly patienceMs: number;
  readonly start: (more?: Omit<Parameters<typeof run>[1], "config">) => ReturnType<typeof run>;
}

/**
 * What the runner relies on in a source. `capabilities` decide which cases apply. An event must show
 * its text somewhere, as it was put; the first must come `patienceMs` (5 s) after a `put` or the start.
 * `module`, the URL of the module that exports the source, has it killed at each step, in a process of its own. `outage`
 * has the origin refuse or fail every request, `stall` take requests and answer none: give what can be made, or neither is
 * tried. Nothing is put or removed meanwhile. `many` is how many records are more than a page or two of what the origin
 * lists: so many are put before a start, and must come within ten times `patienceMs`. Without it no more than some thirty are there.
 */
export function sourceConformance(given: {
  readonly source: Source;
  readonly config: Record<string, unknown>;
  readonly origin: Origin;
  readonly patienceMs?: number;
  readonly module?: URL | string;
  readonly outage?: Outage;
  readonly stall?: Outage;
  readonly many?: number;
}): readonly Case[] {
  const { source, config, origin, patienceMs = 5_000, module, outage, stall, many } = given;
  const { deletes, snapshotOnRequest, replays } = source.capabilities;
  const start: SourceBench["start"] = (more = {}) => run(source, { config, patienceMs, ...more });
  const bench: SourceBench = { source, config, origin, patienceMs, start };

  return [
    ...definitionCases(source, config),
    ...secretCases(source, config, async (context) => {
      const place = state();
      await origin.put(word(), word());
      const reading = await start({ using: context, state: place });
      context.signal.addEventListener("abort", () => void reading.stop().catch(() => {}));
      await reading.until(({ length }) => length > 0).catch(() => reading.ended);
      await reading.stop();
      const kept = await entriesOf(place.state);
      return [reading.events, reading.batches, reading.progress, kept];
    }),
    ...streamCases(bench),
    ...(deletes ? deleteCases(bench) : []),
    ...(replays ? [...crashCases(bench), ...checkpointCases(bench, module)] : []),
    ...(snapshotOnRequest ? requestCases(bench) : []),
    ...(module === undefined ? [] : killCases(bench, String(module))),
    ...extentCases(bench, many),
    ...restraintCases(bench),
    ...outageCases(bench, { outage, stall }),
  ];
}
