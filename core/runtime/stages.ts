import type { Stage } from "../config/pipeline.ts";
import type { Applicable, Output, TransformWorker } from "../connector.ts";
import { PoisonError, SluiceError } from "../errors.ts";
import {
  isRecordChange,
  isUpsert,
  type DocumentUpserted,
  type RecordDeleted,
  type SluiceEvent,
} from "../event.ts";
import { guarded, StageFailure, type Failure } from "./failure.ts";

export interface OpenStage extends Stage {
  readonly worker: TransformWorker;
}

interface Slot {
  /** In the events the chain was given. */
  readonly at: number;
  readonly event: SluiceEvent;
}

/**
 * Sends events through inline transforms, one after the other. Deletes and clears pass by; `null`
 * becomes a delete of the same record and version, and nothing comes of `"skip"`. Returns what came out, each
 * with the place of its input, and what failed on the way; throws `StageFailure` when a whole call failed.
 */
export async function throughStages(
  stages: readonly OpenStage[],
  events: readonly SluiceEvent[],
  signal: AbortSignal,
): Promise<{ readonly slots: readonly Slot[]; readonly failures: readonly Failure[] }> {
  const failures: Failure[] = [];
  let slots: readonly Slot[] = events.map((event, at) => ({ at, event }));
  for (const stage of stages) slots = await throughStage(stage, slots, failures, signal);
  return { slots, failures };
}

async function throughStage(
  stage: OpenStage,
  slots: readonly Slot[],
  failures: Failure[],
  signal: AbortSignal,
): Promise<readonly Slot[]> {
  const given: { slot: Slot; event: Applicable }[] = [];
  for (const slot of slots) {
    if (!isApplicable(slot.event)) continue;
    if (isAccepted(stage.transform.accepts, slot.event)) given.push({ slot, event: slot.event });
    else failures.push({ at: slot.at, stage: stage.use, error: unaccepted(stage.use, slot.event) });
  }
  let outputs: readonly Output[] = [];
  while (given.length > 0) {
    const result = await guarded(stage.use, () =>
      stage.worker.apply(
        given.map(({ event }) => event),
        { signal },
      ),
    );
    if ("value" in result) {
      outputs = result.value;
      break;
    }
    // The others were not returned: apply again without those that failed.
    for (const { at, error } of result.failures) {
      const failed = given[at];
      if (failed) failures.push({ at: failed.slot.at, stage: stage.use, error });
    }
    const gone = new Set(result.failures.map(({ at }) => at));
    if (gone.size === 0) throw wrongShape(stage, "threw a PartialError without failures");
    given.splice(0, given.length, ...given.filter((_, at) => !gone.has(at)));
  }
  if (outputs.length !== given.length)
    throw wrongShape(stage, `returned ${outputs.length} slots for ${given.length} events`);

  const turned = new Map<Slot, SluiceEvent | undefined>();
  for (const [at, { slot, event }] of given.entries())
    turned.set(slot, outcome(stage, event, outputs[at] ?? null));
  return slots.flatMap((slot) => {
    if (!isApplicable(slot.event)) return [slot];
    const event = turned.get(slot);
    return event ? [{ at: slot.at, event }] : [];
  });
}

/** What a stage made of one event: named as its work, with its mark in the lineage. */
function outcome(stage: OpenStage, input: Applicable, output: Output): SluiceEvent | undefined {
  if (output === input) return input;
  if (output === "skip") return undefined;
  const id = `${input.id}~${stage.use}`;
  if (output === null) return isUpsert(input) ? deletedBy(input, id) : undefined;
  for (const name of ["source", "subject", "sequence", "partitionkey"] as const)
    if (output[name] !== input[name])
      throw wrongShape(stage, `changed ${name} of event ${JSON.stringify(input.id)}`);
  if (!isRecordChange(output) || output.type !== "dev.sluice.document.upserted")
    return { ...output, id };
  const mark = `${stage.transform.name}@${stage.transform.version}:${stage.configHash}`;
  return { ...output, id, data: { ...output.data, lineage: [...lineageOf(input), mark] } };
}

/** The lineage is the runner's: what the input had, whatever the transform returned. */
function lineageOf(input: Applicable): readonly string[] {
  return isRecordChange(input) && input.type === "dev.sluice.document.upserted"
    ? input.data.lineage
    : [];
}

function deletedBy(input: Extract<Applicable, { sequence: string }>, id: string): RecordDeleted {
  const { data, dataschema: _schema, datacontenttype: _type, ...attributes } = input;
  const { key } = data as DocumentUpserted["data"]; // every upsert carries its key
  return {
    ...attributes,
    id,
    type: "dev.sluice.record.deleted",
    data: { op: "delete", key, meta: {} },
  };
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

function wrongShape(stage: OpenStage, what: string): StageFailure {
  const error = new SluiceError(`${stage.use}: the transform ${what}.`, {
    code: "transform.contract",
    fix: "Mend the transform: one slot per input, same identity (see docs/writing-a-connector.md).",
  });
  return new StageFailure(stage.use, error);
}
