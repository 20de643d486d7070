import { setMaxListeners } from "node:events";
import { bell, cleared, type RecordChange, type SourceBatch, type SourceContext } from "sluice";
import type { Bucket } from "./bucket.ts";
import type { Checkpoint, Options } from "./config.ts";
import { openDesk, type Looked } from "./desk.ts";
import { giveUp } from "./give-up.ts";
import { judge } from "./judge.ts";
import { lookAt } from "./look-at.ts";
import type { Notes } from "./memory/notes.ts";
import { listen } from "./notifications/listen.ts";
import { beginPass, type Pass } from "./pass.ts";
import { passes } from "./passes.ts";
import { problems } from "./problems.ts";
import { select } from "./select.ts";
import { suspects } from "./suspects.ts";
import { witness } from "./witness.ts";

/** A listing that finds nothing new moves the checkpoint all the same, this often. */
const heartbeatMs = 10_000;
/** A page that takes longer is waited for. */
const silenceMs = 5_000;

/**
 * Whatever may have changed becomes a key to look at: found by a listing, told by a notification, left
 * in doubt by a crash, asked for by a snapshot. The object itself then says whether it did; so the
 * order in which we are told, and how often, does not matter.
 */
export async function* follow(
  context: SourceContext<Options, Checkpoint>,
  bucket: Bucket,
  notes: Notes,
): AsyncGenerator<SourceBatch<Checkpoint>> {
  const { config, nextVersion, progress } = context;
  const { memory, doubts, failures, limit } = notes;
  const over = new AbortController();
  const signal = AbortSignal.any([context.signal, over.signal]);
  setMaxListeners(0, signal); // one for each request on its way
  const alarm = bell();
  let failure: { readonly error: unknown } | undefined;
  const fail = (error: unknown) => {
    failure ??= { error };
    alarm.ring();
  };
  const wake = alarm.ring;
  const selected = select(config);
  const tell = problems(context);
  const read = lookAt({ config, bucket, notes, select: selected, signal });
  const { readsAtOnce, maxBytes } = config;
  const canReadOther = witness({ bucket, memory, failures, signal });
  const desk = openDesk({
    read,
    giveUp: (look, cause, about) =>
      giveUp(look, cause, { ...about, bucket, failures, canReadOther, signal }),
    readsAtOnce,
    maxBytes,
    signal,
    wake,
    fail,
  });

  /** The current pass began with the first key. */
  let isWhole = false;
  const source = `/s3/${encodeURIComponent(context.name)}`;
  const judging = { source, bucket, doubts, problems: tell, nextVersion };
  const everyMs = config.notifications?.listEveryMs ?? config.everyMs;
  const idleEveryMs = config.notifications?.listEveryMs ?? config.idleEveryMs;
  const isKnown = !(await memory.behind("").next()).done;
  const plan = passes(context, {
    isKnown,
    everyMs,
    idleEveryMs,
    wake,
    fail,
    begin: ({ isFirst, after, snapshot, isPartial }) => {
      for (const key of doubts.keys())
        if (failures.resting(key) === undefined)
          desk.add({ key, isForced: true, isOfPass: false, messages: [] }, true);
      const isForced = snapshot?.isForced ?? false;
      isWhole = after === "";
      const isRecheck = limit.isLowered();
      return beginPass(
        (spare) =>
          suspects(
            { bucket, memory, select: selected, problems: tell },
            { after, isForced, isRecheck, maxBytes, signal, spare },
          ),
        { isFirst, snapshot, isPartial, after, desk, wake, fail },
      );
    },
  });
  const told = config.notifications && (await listen(context, { desk, bucket, signal, fail }));

  /** One batch of what was read; undefined when nobody has to be told of any of it. */
  const cut = async (looked: readonly Looked[]): Promise<SourceBatch<Checkpoint> | undefined> => {
    const pass = plan.current();
    const known = await memory.open(looked.map(({ look }) => look.key));
    const events: RecordChange[] = [];
    const settled: string[] = [];
    const mended: string[] = [];
    const missed: string[] = [];
    for (const one of looked) {
      const event = judge(one, known, pass, judging);
      if (one.look.isOfPass) pass?.answer(one.look.key);
      if (typeof event === "object") events.push(event);
      if (event !== "doubtful") mended.push(one.look.key);
      else if (one.look.isRecheck) missed.push(one.look.key);
      // What is in doubt was emitted now, or is not there and never was.
      if (typeof event === "object" || (event === undefined && one.look.isForced))
        settled.push(one.look.key);
    }
    // Whether it is wanted is still to be told, when it can be read again.
    await doubts.keep(missed, nextVersion);
    desk.freed(looked.map(({ look }) => look));
    const writes = [...known.writes(), ...doubts.settle(settled), ...failures.mended(mended)];
    if (events.length > 0) {
      plan.changed();
      const lowest = events[0]?.sequence ?? "";
      const keys = events.map(({ subject }) => subject);
      writes.push(...(await doubts.announce(keys, lowest)));
    }
    if (events.length + writes.length === 0) return undefined;
    return { events, checkpoint: checkpointOf(pass), writes };
  };

  try {
    let stored = JSON.stringify(context.checkpoint);
    let storedAt = performance.now();
    const note = (batch: SourceBatch<Checkpoint>) => {
      stored = JSON.stringify(batch.checkpoint);
      storedAt = performance.now();
      return batch;
    };
    while (!signal.aborted) {
      if (failure) throw failure.error;
      plan.advance();
      for (const key of failures.due())
        desk.add({ key, isForced: false, isAgain: true, isOfPass: false, messages: [] }, false);
      const pass = plan.current();
      // Until its first answer a run has nothing to tell, and takes back nothing that the one before told.
      if (pass && (pass.isAnswered() || !pass.isFirst))
        tellProgress(pass, progress, lagWhile(pass, told?.lagSeconds()));

      // A pass that is over ends before anything else is taken: under load there is always more.
      const looked = pass?.isOver() ? [] : desk.take();
      if (looked.length > 0) {
        const batch = await cut(looked);
        if (batch) yield note(batch);
        told?.settled(looked.map(({ look }) => look));
      } else if (pass?.isOver()) {
        const completes = plan.finish();
        const events = sweepOf(pass, source, context.log);
        const writes = isWhole ? limit.checked() : [];
        // A listing that found nothing has nothing to store.
        if (events.length + completes.length + writes.length > 0 || stored !== "{}")
          yield note({ events, checkpoint: {}, completes, writes });
        progress({ phase: "streaming", ...lagOf(told?.lagSeconds()) });
      } else if (pass && performance.now() - storedAt > heartbeatMs)
        yield note({ events: [], checkpoint: checkpointOf(pass) });
      else {
        const waits = [plan.dueInMs(), desk.readyInMs(), failures.dueInMs(), heartbeatMs];
        await alarm.wait(Math.min(...waits), signal);
      }
    }
  } finally {
    over.abort();
    await told?.close();
  }
}

function checkpointOf(pass: Pass | undefined): Checkpoint {
  if (pass === undefined) return {};
  const snapshot = pass.snapshot && { ...pass.snapshot, isPartial: pass.isPartial() };
  return { pass: { after: pass.after(), ...(snapshot && { snapshot }) } };
}

/** What ends a snapshot: all that it did not find is gone. */
function sweepOf(
  pass: Pass,
  source: string,
  log: SourceContext<Options, Checkpoint>["log"],
): RecordChange[] {
  if (pass.snapshot === undefined) return [];
  const { below, audience } = pass.snapshot;
  if (pass.isPartial()) {
    log.warn(
      {},
      "snapshot without a sweep: known objects could not be read, and a sweep would remove them",
    );
    return [];
  }
  const time = new Date().toISOString();
  const about = { source, below, reason: "sweep", time, meta: {} } as const;
  return [cleared({ ...about, ...(audience !== undefined && { audience }) })];
}

function tellProgress(
  pass: Pass,
  progress: SourceContext<Options, Checkpoint>["progress"],
  lag: Lag,
): void {
  const phase = pass.isFirst || pass.snapshot ? "snapshot" : "streaming";
  progress({ phase, done: pass.answered(), ...lag });
}

/** Since when no page came that was asked for, where that is long: what changed meanwhile nobody knows. */
function lagWhile(pass: Pass, toldSeconds: number | undefined): Lag {
  const silentMs = pass.silentMs();
  if (silentMs < silenceMs) return lagOf(toldSeconds);
  const seconds = Math.round(silentMs / 1_000);
  return { lag: `at least ${seconds} s`, lagSeconds: seconds };
}

interface Lag {
  readonly lag?: string;
  readonly lagSeconds?: number;
}

/** Without notifications nobody knows. */
function lagOf(seconds: number | undefined): Lag {
  if (seconds === undefined) return {};
  return { ...(seconds > 0 && { lag: `${seconds} s` }), lagSeconds: seconds };
}
