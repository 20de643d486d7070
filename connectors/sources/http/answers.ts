import type { SluiceEvent, SourceContext } from "sluice";
import { crowded } from "./refusal.ts";

/** What a caller who waits gets: the answer, or why there is none. */
export type Awaited = SluiceEvent | "late" | "stopping";

export interface Place {
  /** Resolves once, to the answer if it was seen since the place was taken. Throws on abort. */
  readonly wait: (ms: number, run: { readonly signal: AbortSignal }) => Promise<Awaited>;
  readonly free: () => void;
}

export interface Answers {
  /** Takes a place before the question is published: no answer is too early. Throws `Refusal` 429. */
  readonly expect: (correlationid: string) => Place;
  readonly close: () => void;
}

/**
 * Listens to the topic of the answers until abort or close. Resolves when every answer published from now on is
 * seen. `failed` is told when that ends.
 */
export async function openAnswers(
  { config, tap, signal, log, meter }: SourceContext<{ readonly maxWaiting: number }, unknown>,
  topic: string,
  failed: (error: unknown) => void,
): Promise<Answers> {
  const expected = new Map<string, Set<(answer: Awaited) => void>>();
  let places = 0;
  let isClosed = false;

  const missed = (events: number) => {
    meter("answers_missed", events);
    log.warn({ topic, events }, "answers passed unseen: callers may wait in vain");
  };
  const over = new AbortController();
  const answers = await tap(topic, { signal: AbortSignal.any([signal, over.signal]), missed });
  const listen = async () => {
    for await (const event of answers) {
      if (event.type !== "dev.sluice.answer.given") continue;
      const { correlationid } = event;
      if (typeof correlationid !== "string") continue;
      for (const deliver of expected.get(correlationid) ?? []) deliver(event);
    }
  };
  void listen().catch((error: unknown) => signal.aborted || isClosed || failed(error));

  return {
    expect: (correlationid) => {
      if (places >= config.maxWaiting)
        throw crowded(`${config.maxWaiting} callers wait for answers already.`);
      places += 1;
      let settle: (answer: Awaited) => void = () => {};
      const answered = new Promise<Awaited>((resolve) => (settle = resolve));
      if (isClosed) settle("stopping");
      const those = expected.get(correlationid) ?? new Set();
      expected.set(correlationid, those.add(settle));
      let isFree = false;
      return {
        wait: async (ms, run) => {
          const timer = setTimeout(() => settle("late"), ms);
          let leave = () => {};
          const left = new Promise<never>((_, reject) => {
            leave = () => reject(run.signal.reason as Error);
            if (run.signal.aborted) leave();
            else run.signal.addEventListener("abort", leave, { once: true });
          });
          try {
            return await Promise.race([answered, left]);
          } finally {
            clearTimeout(timer);
            run.signal.removeEventListener("abort", leave);
          }
        },
        free: () => {
          if (isFree) return;
          isFree = true;
          places -= 1;
          those.delete(settle);
          if (those.size === 0 && expected.get(correlationid) === those)
            expected.delete(correlationid);
        },
      };
    },
    close: () => {
      isClosed = true;
      over.abort();
      for (const those of expected.values()) for (const settle of those) settle("stopping");
    },
  };
}
