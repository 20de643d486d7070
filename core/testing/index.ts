import { clock } from "./fakes/clock.ts";
import { consumer } from "./fakes/consumer.ts";
import { context, writeRun } from "./fakes/context.ts";
import { faulty } from "./fakes/faulty.ts";
import { queue } from "./fakes/queue.ts";
import { document, record } from "./fakes/records.ts";
import { run } from "./fakes/run.ts";
import { state } from "./fakes/state.ts";

/** Stand-ins for what surrounds a connector, with the semantics of the real parts, and events to feed it. */
export const fakes = {
  state,
  context,
  writeRun,
  run,
  queue,
  consumer,
  clock,
  faulty,
  record,
  document,
} as const;

export { sourceConformance, type Origin } from "./source.ts";
export { transformConformance } from "./transform.ts";
export { sinkConformance } from "./sink.ts";
export { embedderConformance } from "./embedder.ts";
export { vectorStoreConformance } from "./store.ts";
export type { Case, Outage } from "./conformance.ts";
export type { Sample } from "./sample.ts";
export type { FakeClock } from "./fakes/clock.ts";
export type { FakeLetter } from "./fakes/consumer.ts";
export type { FakeContext, LogLine } from "./fakes/context.ts";
export type { Fault } from "./fakes/faulty.ts";
export type { FakeQueue } from "./fakes/queue.ts";
export type { Progress, SourceRun } from "./fakes/run.ts";
export type { FakeState } from "./fakes/state.ts";
export type { Handle } from "../queue/queue.ts";
export type { Lease, Leases, Scope } from "../state/state.ts";
