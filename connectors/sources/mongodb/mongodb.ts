import { defineSource, type SourceContext } from "sluice";
import { captureOf } from "./capture.ts";
import { check } from "./check.ts";
import {
  boundOf,
  checkpoint,
  foreign,
  type Bound,
  type Checkpoint,
  type Pass,
} from "./checkpoint.ts";
import { config, type Options } from "./config.ts";
import { connect, type Deployment } from "./deployment.ts";
import { own } from "./emitter.ts";
import { meanings } from "./events.ts";
import { matcherOf } from "./filter.ts";
import { follow } from "./follow.ts";
import { fromDriver } from "./key.ts";
import { openMemory, type Memory } from "./memory.ts";
import { fromStored, timeAt, type Position } from "./position.ts";
import { foreignPosition } from "./problems.ts";
import { scan } from "./scan.ts";
import { instantOf, secondsOf } from "./token.ts";

/**
 * Emits the documents of collections, and then every change of them. The subject is the `_id` as canonical
 * Extended JSON; the source is one of each collection.
 */
export const mongodb = defineSource({
  name: "mongodb",
  version: "1.0.0",
  summary: "Collections of a MongoDB replica set, copied and then followed by change streams.",
  config,
  checkpoint,
  emits: ["dev.sluice.record.", "dev.sluice.collection.cleared"],
  capabilities: { deletes: true, snapshotOnRequest: true, replays: true, forgets: false },
  check,
  scan,
  async *read(context) {
    const { config: options, name, signal, state } = context;
    const deployment = await connect(options, { signal });
    try {
      const { bson } = deployment;
      const capture = captureOf(options);
      const memory = await openMemory(state);
      const bound = boundOf(deployment, capture, options);
      const start = await startOf(context, { deployment, memory, bound });
      const encode = (value: unknown) =>
        fromDriver(bson.EJSON.parse(JSON.stringify(value), { relaxed: false }), bson);
      const matches = options.filter && matcherOf(options.filter, encode);
      const made = meanings({ connector: name, options, capture, matches, epoch: memory.epoch });
      yield* follow(context, { deployment, capture, meanings: made, memory, ...start });
    } finally {
      await deployment.close();
    }
  },
});

interface Start {
  /** For the checkpoints to come. */
  readonly bound: Bound;
  readonly position: Position | undefined;
  readonly passes: readonly Pass[];
}

/** Where to go on. Throws `PositionLostError` when the checkpoint says nothing about this deployment. */
async function startOf(
  { checkpoint: stored, config: { snapshot }, log }: SourceContext<Options, Checkpoint>,
  place: { readonly deployment: Deployment; readonly memory: Memory; readonly bound: Bound },
): Promise<Start> {
  const { deployment, memory, bound } = place;
  const fresh = (id: string): Pass => ({ id: own + id, done: 0, total: 0 });
  if (stored === undefined) {
    // Invariant 10: without the position of an earlier run only a copy can say what changed since.
    const isCopied = snapshot === "initial" || memory.hasStarted;
    return isCopied
      ? { bound, position: undefined, passes: [fresh("initial")] }
      : { bound: { ...bound, passedOver: true }, position: undefined, passes: [] };
  }
  const position = fromStored(stored.position);
  const time = timeAt(position);
  const isFuture = secondsOf(time) > secondsOf(deployment.now);
  const why =
    foreign(stored.bound, bound) ??
    (isFuture
      ? `it is of ${instantOf(time)}, and the newest change here is of ${instantOf(deployment.now)}`
      : undefined);
  if (why !== undefined) {
    await memory.begin(`${JSON.stringify(stored.position)}: ${why}`);
    throw foreignPosition(why);
  }
  if (stored.bound.shape === bound.shape) {
    const { passes } = stored;
    if (!stored.bound.passedOver) return { bound, position, passes };
    if (snapshot === "never") return { bound: { ...bound, passedOver: true }, position, passes };
    log.info({}, 'mongodb: `snapshot` was "never" before: copying what was passed over');
    return { bound, position, passes: [...passes, fresh("initial")] };
  }
  // A position belongs to its pipeline; its time does not. And documents that did not change may now look
  // otherwise, be wanted or not: only reading them tells.
  log.info(
    {},
    "mongodb: the config says otherwise what is captured, reading the collections again",
  );
  return { bound, position: { time }, passes: [fresh("config")] };
}
