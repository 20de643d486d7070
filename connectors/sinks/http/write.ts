import {
  FencedError,
  PartialError,
  PoisonError,
  RetryableError,
  type SluiceEvent,
  type Writer,
} from "sluice";
import type { Options } from "./config.ts";
import type { Post } from "./post.ts";

const maxBatchChars = 2 ** 20;

/**
 * One request after the other. After one that may succeed later nothing more is sent: what follows may
 * be of the same key. A batch that is refused for good is halved, until the event that spoils it is found.
 */
export function writer({ mode, maxBatch }: Options, post: Post): Writer {
  return {
    write: async (events, run) => {
      const failures = new Map<number, RetryableError | PoisonError>();
      const open = new Set(events.keys());

      async function send(group: readonly number[]): Promise<void> {
        run.signal.throwIfAborted();
        if (performance.now() >= run.deadline)
          throw new FencedError("http: the lease ends before another request could finish.", {
            code: "http.lease-ended",
          });
        try {
          await post(
            group.flatMap((at) => events[at] ?? []),
            run,
          );
        } catch (error) {
          if (!(error instanceof PoisonError)) throw error;
          const middle = group.length >> 1;
          if (middle > 0) {
            await send(group.slice(0, middle));
            return await send(group.slice(middle));
          }
          for (const at of group) failures.set(at, error);
        }
        for (const at of group) open.delete(at);
      }

      try {
        for (const group of groupsOf(events, mode === "batch" ? maxBatch : 1)) await send(group);
      } catch (error) {
        if (!(error instanceof RetryableError) || open.size === events.length) throw error;
        for (const at of open) failures.set(at, error);
      }
      if (failures.size > 0)
        throw new PartialError(`http: ${failures.size} of ${events.length} events failed.`, {
          code: "http.partial",
          failures,
        });
    },
    close: async () => {},
  };
}

/** Indexes of consecutive events that go into one body. */
function groupsOf(
  events: readonly SluiceEvent[],
  maxEvents: number,
): readonly (readonly number[])[] {
  if (maxEvents === 1) return events.map((_, at) => [at]);
  const groups: number[][] = [];
  let group: number[] = [];
  let chars = 0;
  for (const [at, event] of events.entries()) {
    const size = JSON.stringify(event).length;
    if (group.length === maxEvents || (group.length > 0 && chars + size > maxBatchChars)) {
      groups.push(group);
      group = [];
      chars = 0;
    }
    group.push(at);
    chars += size;
  }
  return group.length > 0 ? [...groups, group] : groups;
}
