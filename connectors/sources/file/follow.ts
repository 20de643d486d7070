import { bell, cleared, type SluiceEvent, type SourceBatch, type SourceContext } from "sluice";
import type { Checkpoint, Options } from "./file.ts";
import type { Folder } from "./folder.ts";
import type { Outcome } from "./judge.ts";
import { look, type Looking } from "./look.ts";
import type { Memory } from "./memory.ts";
import { passes } from "./passes.ts";
import type { Pass, Snapshot } from "./pass.ts";
import { problems } from "./problems.ts";
import { settling } from "./settling.ts";
import { watch } from "./watch.ts";

const maxEvents = 1_000;
const maxBytes = 2 ** 20;
/** Files read side by side: what is in memory at once is bounded by bytes, for large ones too. */
const readsAtOnce = 8;
const readBytesAtOnce = 64 * 2 ** 20;

/**
 * Whatever may have changed becomes a path to look at: told by the watcher, found by a scan, asked for
 * by a snapshot. The file itself then says whether it did. Files are read between batches only: while
 * we are not asked for one, nothing but paths is collected.
 */
export async function* follow(
  context: SourceContext<Options, Checkpoint>,
  folder: Folder,
  memory: Memory,
): AsyncGenerator<SourceBatch<Checkpoint>> {
  const { config, log, nextVersion, progress } = context;
  const over = new AbortController();
  const signal = AbortSignal.any([context.signal, over.signal]);
  const alarm = bell();
  const changed = settling(config.settleMs);
  const ready: Outcome[] = [];
  let failure: { readonly error: unknown } | undefined;
  let isRootInDoubt = false;

  const fail = (error: unknown) => {
    failure ??= { error };
    alarm.ring();
  };
  const touch = (path: string) => {
    const wasIdle = changed.isEmpty();
    changed.touch(path);
    if (wasIdle) alarm.ring();
  };
  const looking: Looking = {
    source: `/file/${encodeURIComponent(context.name)}`,
    folder,
    memory,
    maxBytes: config.maxBytes,
    signal,
    nextVersion,
    problems: problems(context),
    touch,
  };
  const watching = await watch(folder, {
    polling: config.polling,
    signal,
    log,
    failed: fail,
    changed: (path) => {
      if (path !== "") return touch(path);
      isRootInDoubt = true;
      alarm.ring();
    },
  });

  try {
    const { settleMs, rescanMs } = config;
    const atOnce = Math.min(readsAtOnce, Math.ceil(readBytesAtOnce / config.maxBytes));
    const plan = passes(context, looking, { settleMs, rescanMs, wake: alarm.ring, fail });
    const checkpoint = (snapshot?: Snapshot): Checkpoint => ({
      root: folder.identity,
      single: folder.single,
      ...(snapshot && { snapshot }),
    });
    let stored = JSON.stringify(context.checkpoint);

    while (!signal.aborted) {
      if (failure) throw failure.error;
      if (isRootInDoubt) {
        isRootInDoubt = false;
        await folder.assertPresent();
      }
      plan.advance();
      const pass = plan.current();

      // A pass that has all its answers ends before anything else is read: under load there is always more.
      const mayRead = pass?.owed() !== 0;
      while (mayRead && !isFull(ready) && !signal.aborted) {
        const quiet = changed.take(atOnce);
        const isTaken = (path: string) => changed.has(path) || quiet.includes(path);
        const paths = [...quiet, ...(pass?.next(atOnce, isTaken) ?? [])];
        if (paths.length === 0) break;
        ready.push(...(await look(paths, pass, looking)));
      }
      if (signal.aborted) return;

      if (pass) {
        const phase = pass.isFirst || pass.snapshot ? "snapshot" : "streaming";
        progress({ phase, done: pass.total - pass.owed(), total: pass.total });
      }
      if (ready.length > 0) {
        const some = takeBatch(ready);
        const next = checkpoint(plan.snapshot());
        stored = JSON.stringify(next);
        const events = some.flatMap(({ event }) => event ?? []);
        const writes = [...some.map(({ write }) => write), ...(await memory.announce(events))];
        yield { events, checkpoint: next, writes };
      } else if (pass?.owed() === 0) {
        const sweep = sweepOf(pass, looking.source);
        const next = checkpoint();
        const writes = memory.settled();
        const { request } = pass.snapshot ?? {};
        const completes = request === undefined ? [] : [request];
        if (sweep || writes.length > 0 || JSON.stringify(next) !== stored)
          yield { events: sweep ? [sweep] : [], checkpoint: next, writes, completes };
        stored = JSON.stringify(next);
        plan.finish();
        progress({ phase: "streaming" });
      } else await alarm.wait(Math.min(changed.dueInMs(), plan.dueInMs()), signal);
    }
  } finally {
    over.abort();
    await watching.close();
  }
}

/** What ends a snapshot: all that it did not find is gone. */
function sweepOf(pass: Pass, source: string): SluiceEvent | undefined {
  const below = pass.sweepBelow();
  if (below === undefined) return undefined;
  const audience = pass.snapshot?.audience;
  return cleared({
    source,
    below,
    reason: "sweep",
    time: new Date().toISOString(),
    meta: {},
    ...(audience !== undefined && { audience }),
  });
}

function isFull(ready: readonly Outcome[]): boolean {
  return ready.length >= maxEvents || ready.reduce((sum, { bytes }) => sum + bytes, 0) >= maxBytes;
}

/** From the front, as many as a batch may hold, but at least one. */
function takeBatch(ready: Outcome[]): readonly Outcome[] {
  let count = 0;
  let bytes = 0;
  for (const one of ready) {
    bytes += one.bytes;
    if (count === maxEvents || (count > 0 && bytes > maxBytes)) break;
    count += 1;
  }
  return ready.splice(0, count);
}
