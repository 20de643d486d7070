import { setInterval } from "node:timers/promises";
import type { Log } from "sluice";
import type { Session } from "./session.ts";
import { walBudget, walSampler } from "./setup/wal-budget.ts";
import type { Acknowledger } from "./stream/acknowledge.ts";
import type { Reader } from "./stream/reader.ts";
import type { WalStream } from "./wire/wal-stream.ts";

/** The stream confirms by itself too, but seldom; this lets the server free its log soon. */
const tellEveryMs = 1_000;

/** What goes on beside the stream. What fails there ends the stream, with the same error. */
export interface Beside {
  readonly run: (work: Promise<unknown>) => void;
  readonly every: (ms: number, work: () => Promise<void>) => void;
}

export function openBeside(run: {
  readonly signal: AbortSignal;
  readonly fail: (error: unknown) => void;
}): Beside {
  const { signal, fail } = run;
  const repeat = async (ms: number, work: () => Promise<void>) => {
    for await (const _ of setInterval(ms, undefined, { signal, ref: false })) await work();
  };
  return {
    run: (work) => void work.catch(fail),
    every: (ms, work) => void repeat(ms, work).catch(fail),
  };
}

/** Keeps the slot moving and says how far it is. `tell`: called every second. */
export function keepMoving(
  beside: Beside,
  parts: {
    readonly stream: WalStream;
    readonly reader: Reader;
    readonly acknowledger: Acknowledger;
    readonly session: Session;
    readonly heartbeatMs: number;
    /** Of our own messages. */
    readonly prefix: string;
    readonly tell: () => void;
    readonly log: Log;
  },
): void {
  const { stream, reader, acknowledger, session, heartbeatMs, prefix, tell, log } = parts;
  let told = acknowledger.confirmed();
  beside.every(tellEveryMs, async () => {
    tell();
    if (acknowledger.confirmed() === told) return;
    told = acknowledger.confirmed();
    stream.confirm();
  });
  if (heartbeatMs === 0)
    return log.warn(
      {},
      "no heartbeats: while the captured tables are idle, the server keeps its log",
    );
  const beat = "SELECT pg_logical_emit_message(false, $1, 'heartbeat')";
  let seen = reader.lsn();
  beside.every(heartbeatMs, async () => {
    if (reader.lsn() === seen) await session.query(beat, [prefix]);
    seen = reader.lsn();
  });
}

/** Looks now and then how much log the server may still keep for the slot. */
export function watchBudget(
  beside: Beside,
  parts: {
    readonly everyMs: number;
    readonly session: Session;
    readonly slot: string;
    readonly log: Log;
  },
): void {
  const { everyMs, session, slot, log } = parts;
  const sample = walSampler(slot, log);
  beside.every(everyMs, async () => {
    const budget = await walBudget(session, slot);
    if (budget) sample(budget);
  });
}
