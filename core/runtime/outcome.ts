import type { Stage } from "../config/pipeline.ts";
import { childKey, childSubject } from "../child.ts";
import type { Applicable, Output, TransformWorker } from "../connector.ts";
import { SluiceError } from "../errors.ts";
import {
  isRecordChange,
  isUpsert,
  type DocumentUpserted,
  type RecordChange,
  type RecordDeleted,
  type SluiceEvent,
} from "../event.ts";
import type { StateWrite } from "../state/state.ts";
import type { Children, Family } from "./children.ts";
import { StageFailure } from "./failure.ts";

export interface OpenStage extends Stage {
  readonly worker: TransformWorker;
  /** What came of the records that it splits; undefined where it does not. */
  readonly children?: Children | undefined;
}

export interface Outcome {
  readonly events: readonly SluiceEvent[];
  /** Stored before the events are written, and after. */
  readonly before?: StateWrite;
  readonly after?: StateWrite | undefined;
}

/** What a stage made of one event: named as its work, with its mark in the lineage. */
export function outcome(
  stage: OpenStage,
  input: Applicable,
  output: Output,
  family: Family | undefined,
): Outcome {
  if (output === "skip") return { events: [] };
  if (isArray(output)) return split(stage, input, output, family);
  const event = single(stage, input, output);
  const events = event ? [event] : [];
  if (!family || !isUpsert(input)) return { events };
  return {
    ...scattered(stage, input, family),
    events: [...events, ...orphans(stage, input, family.keys)],
  };
}

/** The record is deleted, or one document again: its parts are gone. */
export function scattered(stage: OpenStage, event: SluiceEvent, family: Family): Outcome {
  if (!isRecordChange(event)) return { events: [event] };
  const after = isForAll(event) ? stage.children?.write(event, undefined) : undefined;
  return { events: [...orphans(stage, event, family.keys), event], after };
}

function split(
  stage: OpenStage,
  input: Applicable,
  parts: readonly Applicable[],
  family: Family | undefined,
): Outcome {
  const { children, use } = stage;
  if (!isUpsert(input)) {
    const events = parts.map((part, at) => ({ ...part, id: `${input.id}~${use}/${at}` }));
    return { events };
  }
  if (!children)
    throw wrongShape(stage, "returned an array, but `open` did not say that it splits");
  const keys = new Set<string>();
  const events: SluiceEvent[] = parts.map((part) => {
    const key = childKey(part.subject ?? "", input.subject);
    if (key === undefined || keys.has(key))
      throw wrongShape(
        stage,
        `returned a part ${JSON.stringify(part.subject)} of ${JSON.stringify(input.subject)} twice, or not made by childOf`,
      );
    keys.add(key);
    return made(stage, input, part, `${input.id}~${use}/${key}`, [
      "source",
      "sequence",
      "partitionkey",
    ]);
  });
  const vanished = family?.keys.filter((key) => !keys.has(key)) ?? [];
  // It may have been one document before.
  const whole = family ? [] : [deletedBy(input, `${input.id}~${use}`)];
  const union = { keys: [...keys, ...vanished], sequence: family?.sequence ?? "" };
  return {
    // The new before what they replace: never an empty window (Invariant 6).
    events: [...events, ...orphans(stage, input, vanished), ...whole],
    // All keys are known already: nothing to store before they are written.
    ...(family?.keys.length !== union.keys.length && { before: children.write(input, union) }),
    after: isForAll(input)
      ? children.write(input, { keys: [...keys], sequence: input.sequence })
      : undefined,
  };
}

function orphans(
  stage: OpenStage,
  event: RecordChange,
  keys: readonly string[],
): readonly SluiceEvent[] {
  return keys.map((key) => ({
    ...deletedBy(event, `${event.id}~${stage.use}/${key}`),
    subject: childSubject(event.subject, key),
  }));
}

/** A catch-up for one subscription says nothing of what the others have. */
function isForAll(event: RecordChange): boolean {
  return event.audience === undefined;
}

function single(
  stage: OpenStage,
  input: Applicable,
  output: Applicable | null,
): SluiceEvent | undefined {
  if (output === input) return input;
  const id = `${input.id}~${stage.use}`;
  if (output === null) return isUpsert(input) ? deletedBy(input, id) : undefined;
  // Of a message a record may come that nobody knew before: what that is called is the transform's own affair.
  const isNew = !isRecordChange(input) && isRecordChange(output);
  const kept = isNew ? [] : (["source", "subject", "sequence", "partitionkey"] as const);
  return made(stage, input, output, id, kept);
}

function made(
  stage: OpenStage,
  input: Applicable,
  output: Applicable,
  id: string,
  kept: readonly ("source" | "subject" | "sequence" | "partitionkey")[],
): SluiceEvent {
  for (const name of kept)
    if (output[name] !== input[name])
      throw wrongShape(stage, `changed ${name} of event ${JSON.stringify(input.id)}`);
  if (!isRecordChange(output) || output.type !== "dev.sluice.document.upserted")
    return { ...output, id };
  const before = lineageOf(input);
  if (stage.transform.annotates)
    return { ...output, id, data: { ...output.data, lineage: before } };
  const mark = `${stage.transform.name}@${stage.transform.version}:${stage.configHash}`;
  return { ...output, id, data: { ...output.data, lineage: [...before, mark] } };
}

function isArray(output: Output): output is readonly Applicable[] {
  return Array.isArray(output);
}

/** The lineage is the runner's: what the input had, whatever the transform returned. */
function lineageOf(input: Applicable): readonly string[] {
  return isRecordChange(input) && input.type === "dev.sluice.document.upserted"
    ? input.data.lineage
    : [];
}

function deletedBy(input: RecordChange, id: string): RecordDeleted {
  const { data, dataschema: _schema, datacontenttype: _type, ...attributes } = input;
  const { key } = data as DocumentUpserted["data"]; // every change of one record carries its key
  return {
    ...attributes,
    id,
    type: "dev.sluice.record.deleted",
    data: { op: "delete", key, meta: {} },
  };
}

export function wrongShape(stage: OpenStage, what: string): StageFailure {
  const error = new SluiceError(`${stage.use}: the transform ${what}.`, {
    code: "transform.contract",
    fix: "Mend the transform: one slot per input, same identity (see docs/writing-a-connector.md).",
  });
  return new StageFailure(stage.use, error);
}
