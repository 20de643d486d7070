import { setTimeout as sleep } from "node:timers/promises";
import type { SluiceEvent, SourceContext } from "sluice";
import { crowded } from "./refusal.ts";

/** What a caller who waits gets: the answer, or why there is none. */
export type Awaited = { readonly answer: SluiceEvent } | Unanswered;

export interface Unanswered {
  readonly reason: "late" | "stopping" | "given-up";
  /** Of a question that was given up: by whom, and why. */
  readonly detail?: string;
  readonly fix?: string;
}

/** How often it is looked whether a question was given up, while somebody waits. */
const lookEveryMs = 500;

export interface Place {
  /** Resolves once, to the answer if it was seen since the place was taken. Throws on abort. */
  readonly wait: (ms: number, run: { readonly signal: AbortSignal }) => Promise<Awaited>;
  readonly free: () => void;
}

export interface Answers {
  /** Takes a place before the question is published: no answer is too early. Throws `Refusal` 429. */
  readonly expect: (correlationid: string) => Promise<Place>;
  readonly close: () => void;
}

interface Waiting {
  readonly settle: (found: Awaited) => void;
  /** When questions of this correlation had been given up before. */
  readonly before: ReadonlySet<string>;
}

/**
 * Listens to the topic of the answers until abort or close. Resolves when every answer published from now on is
 * seen. `failed` is told when that ends.
 */
export async function openAnswers(
  context: SourceContext<{ readonly maxWaiting: number }, unknown>,
  topic: string,
  failed: (error: unknown) => void,
): Promise<Answers> {
  const { config, tap, givenUp, signal, log, meter } = context;
  const expected = new Map<string, Set<Waiting>>();
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
      for (const { settle } of expected.get(correlationid) ?? []) settle({ answer: event });
    }
  };
  void listen().catch((error: unknown) => signal.aborted || isClosed || failed(error));

  const look = async () => {
    for (const { correlationid, connector, error, at } of await givenUp(topic, [
      ...expected.keys(),
    ])) {
      const { message, fix } = error;
      const detail = `${connector} gave the question up: ${message}`;
      for (const { settle, before } of expected.get(correlationid) ?? [])
        if (!before.has(at))
          settle({ reason: "given-up", detail, ...(fix !== undefined && { fix }) });
    }
  };
  const keepLooking = async (until: AbortSignal) => {
    for (;;) {
      await sleep(lookEveryMs, undefined, { signal: until, ref: false });
      // Whoever waits waits on: this only saves time.
      if (expected.size > 0)
        await look().catch((error: unknown) => log.debug({ error }, "dead letters not looked at"));
    }
  };
  void keepLooking(AbortSignal.any([signal, over.signal])).catch(() => undefined); // aborted

  return {
    expect: async (correlationid) => {
      if (places >= config.maxWaiting)
        throw crowded(`${config.maxWaiting} callers wait for answers already.`);
      places += 1;
      const before = await givenUp(topic, [correlationid]).catch((error: unknown) => {
        places -= 1;
        throw error;
      });
      let settle: Waiting["settle"] = () => {};
      const answered = new Promise<Awaited>((resolve) => (settle = resolve));
      if (isClosed) settle({ reason: "stopping" });
      const waiting = { settle, before: new Set(before.map(({ at }) => at)) };
      const those = expected.get(correlationid) ?? new Set();
      expected.set(correlationid, those.add(waiting));
      let isFree = false;
      return {
        wait: async (ms, run) => {
          const timer = setTimeout(() => settle({ reason: "late" }), ms);
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
          those.delete(waiting);
          if (those.size === 0 && expected.get(correlationid) === those)
            expected.delete(correlationid);
        },
      };
    },
    close: () => {
      isClosed = true;
      over.abort();
      for (const those of expected.values())
        for (const { settle } of those) settle({ reason: "stopping" });
    },
  };
}
