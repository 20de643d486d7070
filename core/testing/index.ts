import { context, writeRun } from "./fakes/context.ts";
import { document, record } from "./fakes/records.ts";
import { run } from "./fakes/run.ts";
import { state } from "./fakes/state.ts";

/** Stand-ins for what surrounds a connector, with the semantics of the real parts, and events to feed it. */
export const fakes = { state, context, writeRun, run, record, document } as const;

export { sourceConformance, type Origin } from "./source.ts";
export { transformConformance } from "./transform.ts";
export { sinkConformance, type Sample } from "./sink.ts";
export type { Case } from "./conformance.ts";
export type { FakeContext, LogLine } from "./fakes/context.ts";
export type { SourceRun } from "./fakes/run.ts";
export type { FakeState } from "./fakes/state.ts";
