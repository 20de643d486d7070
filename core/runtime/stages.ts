import type { Applicable, Output } from "../connector.ts";
import { PoisonError } from "../errors.ts";
import { isRecordChange, isUpsert, type SluiceEvent } from "../event.ts";
import type { Fence, StateWrite } from "../state/state.ts";
import type { Children, Family } from "./children.ts";
import { guarded, type Failure } from "./failure.ts";
import { outcome, scattered, wrongShape, type OpenStage, type Outcome } from "./outcome.ts";

/** An event on its way, and where the one that it comes of stands in the events the chain was given. */
export interface Slot {
  readonly at: number;
  readonly event: SluiceEvent;
}

interface Run {
  readonly signal: AbortSignal;
  readonly fence: Fence;
  /** The other end. Gives the slots that failed, by their `at`. */
  readonly write: (slots: readonly Slot[]) => Promise<readonly Failure[]>;
}

/** Of what a record is split into, so many are worked on together. */
const maxTogether = 1_000;

/**
 * Sends events through inline transforms, one after the other, and writes what comes out. Deletes and clears
 * pass by; `null` becomes a delete of the same record and version, nothing comes of `"skip"`, and an array
 * splits. Returns what failed on the way, once an event; throws `StageFailure` when a whole call failed.
 */
export async function throughStages(
  stages: readonly OpenStage[],
  events: readonly SluiceEvent[],
  run: Run,
): Promise<readonly Failure[]> {
  const passage: Passage = { ...run, failures: new Map(), afterwards: [] };
  await onward(
    stages,
    events.map((event, at) => ({ at, event })),
    passage,
  );
  // What vanished is forgotten only once its deletes are written.
  for (const { children, at, write } of passage.afterwards)
    if (!passage.failures.has(at)) await children.store([write], run.fence);
  return [...passage.failures.values()];
}

interface Passage extends Run {
  readonly failures: Map<number, Failure>;
  readonly afterwards: { children: Children; at: number; write: StateWrite }[];
}

/** Of several failures of one event that counts which may pass: it is tried again then, as a whole. */
function fail({ failures }: Passage, failure: Failure): void {
  const known = failures.get(failure.at);
  if (!known || known.error instanceof PoisonError) failures.set(failure.at, failure);
}

async function onward(
  stages: readonly OpenStage[],
  slots: readonly Slot[],
  passage: Passage,
): Promise<void> {
  const [stage, ...rest] = stages;
  if (!stage) {
    const failures = slots.length > 0 ? await passage.write(slots) : [];
    for (const failure of failures) fail(passage, failure);
    return;
  }
  const out = await throughStage(stage, slots, passage);
  const size = out.length > slots.length ? maxTogether : out.length;
  for (let from = 0; from < out.length || from === 0; from += size || 1)
    await onward(rest, out.slice(from, from + size), passage);
}

async function throughStage(
  stage: OpenStage,
  slots: readonly Slot[],
  passage: Passage,
): Promise<readonly Slot[]> {
  const { children } = stage;
  const families = await familiesOf(stage, slots);
  const given: { slot: Slot; event: Applicable }[] = [];
  for (const slot of slots) {
    const { at, event } = slot;
    if (!isApplicable(event) || isOutdated(event, families)) continue;
    if (isAccepted(stage.transform.accepts, event)) given.push({ slot, event });
    else fail(passage, { at, stage: stage.use, error: unaccepted(stage.use, event) });
  }
  const outputs = await applied(stage, given, passage);

  const turned = new Map<Slot, Outcome>();
  for (const [at, { slot, event }] of given.entries())
    turned.set(slot, outcome(stage, event, outputs[at] ?? null, familyOf(event, families)));
  for (const slot of slots)
    if (!isApplicable(slot.event) && children) {
      const family = familyOf(slot.event, families);
      if (family) turned.set(slot, scattered(stage, slot.event, family));
      await children.clear(slot.event, passage.fence);
    }
  // What may be in a sink is known before it is there.
  const before = [...turned.values()].flatMap(({ before }) => before ?? []);
  await children?.store(before, passage.fence);

  return slots.flatMap((slot) => {
    const { at, event } = slot;
    const turn = turned.get(slot);
    if (children && turn?.after) passage.afterwards.push({ children, at, write: turn.after });
    if (turn) return turn.events.map((one) => ({ at, event: one }));
    const isOver = isApplicable(event) || isAccepted(stage.transform.absorbs ?? [], event);
    return isOver ? [] : [slot];
  });
}

/** Applies the transform. Those that fail are taken out of `given`. */
async function applied(
  stage: OpenStage,
  given: { slot: Slot; event: Applicable }[],
  passage: Passage,
): Promise<readonly Output[]> {
  let outputs: readonly Output[] = [];
  while (given.length > 0) {
    const result = await guarded(stage.use, () =>
      stage.worker.apply(
        given.map(({ event }) => event),
        passage,
      ),
    );
    if ("value" in result) {
      outputs = result.value;
      break;
    }
    // The others were not returned: apply again without those that failed.
    for (const { at, error } of result.failures) {
      const failed = given[at];
      if (failed) fail(passage, { at: failed.slot.at, stage: stage.use, error });
    }
    const gone = new Set(result.failures.map(({ at }) => at));
    if (gone.size === 0) throw wrongShape(stage, "threw a PartialError without failures");
    given.splice(0, given.length, ...given.filter((_, at) => !gone.has(at)));
  }
  if (outputs.length !== given.length)
    throw wrongShape(stage, `returned ${outputs.length} slots for ${given.length} events`);
  return outputs;
}

/** Of every record that the stage split before. */
async function familiesOf(
  { children }: OpenStage,
  slots: readonly Slot[],
): Promise<ReadonlyMap<string, Family>> {
  if (!children) return new Map();
  const records = slots.map(({ event }) => event).filter(isRecordChange);
  return children.of(records.filter(({ type }) => type !== "dev.sluice.collection.cleared"));
}

function familyOf(event: SluiceEvent, families: ReadonlyMap<string, Family>): Family | undefined {
  if (families.size === 0 || !isRecordChange(event)) return undefined;
  const family = families.get(`${event.source}\n${event.subject}`);
  return family && family.sequence <= event.sequence ? family : undefined;
}

/** Split in a later version already: what vanished since would come back for good. */
function isOutdated(event: SluiceEvent, families: ReadonlyMap<string, Family>): boolean {
  if (families.size === 0 || !isRecordChange(event)) return false;
  const family = families.get(`${event.source}\n${event.subject}`);
  return family !== undefined && event.sequence < family.sequence;
}

function isApplicable(event: SluiceEvent): event is Applicable {
  return isUpsert(event) || !isRecordChange(event);
}

/** True when a type prefix of `accepts` fits the event; `""` fits all. */
export function isAccepted(accepts: readonly string[], event: SluiceEvent): boolean {
  return accepts.some((prefix) => event.type.startsWith(prefix));
}

/** The failure of an event that reached a connector which does not take its type: never ignored. */
export function unaccepted(stage: string, event: SluiceEvent): PoisonError {
  return new PoisonError(`${stage}: does not accept events of type ${event.type}.`, {
    code: "event.unaccepted",
    fix: "Put a transform before it that turns them into what it accepts, or filter them out.",
  });
}
