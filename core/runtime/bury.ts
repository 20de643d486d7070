import { createHash } from "node:crypto";
import type { SluiceEvent } from "../event.ts";
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

let last = 0;

/** Rising within a process, and from one process to the next that has a partition: milliseconds, and a count where those do not tell. */
function nextOrder(): string {
  last = Math.max(last + 1, Date.now() * 1_000);
  return String(last).padStart(17, "0");
}

/** Keeps what a connector gives up on as dead letters. Resolves when the letter is durable; the same event is the same letter. */
export function undertaker(
  connector: string,
  { backend, board, log, scrub }: Pick<TaskRun, "backend" | "board" | "log" | "scrub">,
): (given: GivenUp) => Promise<void> {
  return async ({ topic, event, stage, error, attempts, firstAt = new Date() }) => {
    const { source, subject } = event;
    const id = createHash("sha256").update(`${source}\n${event.id}`).digest("hex").slice(0, 16);
    const reason = explain(error, scrub);
    await backend.deadLetters.add({
      id,
      connector,
      stage,
      topic,
      event,
      error: reason,
      attempts,
      firstAt: firstAt.toISOString(),
      lastAt: new Date().toISOString(),
      order: nextOrder(),
    });
    board.deadLettered();
    log.error(
      { stage, deadLetter: id, source, subject, ...reason },
      "event given up on and kept as a dead letter",
    );
  };
}
