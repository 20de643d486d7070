import { createHash } from "node:crypto";
import { FencedError } from "../errors.ts";
import type { SluiceEvent } from "../event.ts";
import type { DeadLetter, Line } from "../queue/queue.ts";
import { explain } from "./board.ts";
import type { TaskRun } from "./task.ts";

interface GivenUp {
  readonly topic: string;
  readonly event: SluiceEvent;
  /** The transform that refused it, `write`, `parked` or, of a source, `publish`. */
  readonly stage: string;
  readonly error: unknown;
  readonly attempts: number;
  /** When it was first tried: now, if it is not said. */
  readonly firstAt?: Date;
}

/** A place in a line: a letter that stood there keeps its own, a new one is the last. */
export interface Place {
  readonly line: string;
  readonly before: Line | undefined;
  readonly own?: Pick<DeadLetter, "order" | "firstAt">;
}

/** Throws `FencedError` when somebody else changed the line of the place meanwhile. */
export type Bury = (given: GivenUp, place?: Place) => Promise<void>;

let last = 0;

/** Rising within a process, and in a line: milliseconds, and a count where those do not tell. */
function nextOrder(before = "0"): string {
  last = Math.max(last + 1, Number(before) + 1, Date.now() * 1_000);
  return String(last).padStart(17, "0");
}

/** Of one topic's event: also where others have its id, as they may not. */
export function letterId(topic: string, event: SluiceEvent): string {
  const { source, id, subject, partitionkey } = event;
  const whole = JSON.stringify([topic, source, id, subject, partitionkey]);
  return createHash("sha256").update(whole).digest("hex").slice(0, 16);
}

/** Keeps what a connector gives up on as dead letters. Resolves when the letter is durable; the same event is the same letter. */
export function undertaker(
  connector: string,
  { backend, board, log, scrub }: Pick<TaskRun, "backend" | "board" | "log" | "scrub">,
): Bury {
  return async ({ topic, event, stage, error, attempts, firstAt = new Date() }, place) => {
    const { source, subject } = event;
    const id = letterId(topic, event);
    const reason = explain(error, scrub);
    const letter = {
      id,
      connector,
      stage,
      topic,
      event,
      error: reason,
      attempts,
      firstAt: place?.own?.firstAt ?? firstAt.toISOString(),
      lastAt: new Date().toISOString(),
      order: place?.own?.order ?? nextOrder(place?.before?.last),
    };
    if (!place) await backend.deadLetters.add(letter);
    else if (!(await backend.deadLetters.park({ ...letter, line: place.line }, place.before)))
      throw lineMoved(connector);
    board.deadLettered();
    log.error(
      { stage, deadLetter: id, source, subject, ...reason },
      "event given up on and kept as a dead letter",
    );
  };
}

function lineMoved(connector: string): FencedError {
  return new FencedError(`${connector}: what waits behind a dead letter is in other hands.`, {
    code: "state.fenced",
  });
}
