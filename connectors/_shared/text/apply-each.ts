import {
  isUpsert,
  PartialError,
  PoisonError,
  type Applicable,
  type Output,
  type UpsertEvent,
} from "sluice";
import { breather, type Breathe } from "./breathe.ts";

/**
 * Applies `apply` to one record after the other, and lets other work run meanwhile. Those that can never succeed are named together
 * (`PartialError`), a single one directly, as the contract of a transform's `apply` asks.
 */
export async function applyEach(
  transform: string,
  events: readonly Applicable[],
  { signal }: { readonly signal: AbortSignal },
  apply: (event: UpsertEvent, breathe: Breathe) => Output | Promise<Output>,
): Promise<readonly Output[]> {
  const breathe = breather(signal);
  const outputs: Output[] = [];
  const failures = new Map<number, PoisonError>();
  for (const [at, event] of events.entries()) {
    await breathe();
    try {
      if (!isUpsert(event)) throw unexpected(transform, event);
      outputs.push(await apply(event, breathe));
    } catch (error) {
      if (!(error instanceof PoisonError) || events.length === 1) throw error;
      failures.set(at, error);
    }
  }
  if (failures.size > 0)
    throw new PartialError(`${transform}: ${failures.size} of ${events.length} events failed.`, {
      code: "transform.partial",
      failures,
    });
  return outputs;
}

/** The refusal of an event whose type the transform does not take. */
export function unexpected(transform: string, event: Applicable): PoisonError {
  return new PoisonError(`${transform}: cannot work on an event of type "${event.type}".`, {
    code: "transform.unexpected-event",
    fix: `Keep such events out of this topic, or away from "${transform}" with a \`filter\`.`,
  });
}
