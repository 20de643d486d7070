import type { Acknowledgement } from "./log.ts";

type Acknowledge = (done: Acknowledgement) => Promise<boolean>;

/** Acknowledgements of one turn of the event loop share a transaction: many partitions, one fsync. */
export function groupAcknowledgements(
  commit: (done: readonly Acknowledgement[]) => readonly boolean[],
): Acknowledge {
  let group: Acknowledgement[] = [];
  let committed: Promise<readonly boolean[]> | undefined;
  return async (done) => {
    const at = group.push(done) - 1;
    committed ??= new Promise((resolve, reject) => {
      setImmediate(() => {
        const all = group;
        group = [];
        committed = undefined;
        try {
          resolve(commit(all));
        } catch (error) {
          reject(error);
        }
      });
    });
    return (await committed)[at] === true;
  };
}
