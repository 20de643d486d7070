import { SluiceError } from "sluice";
import type { Bucket } from "./bucket.ts";
import type { Look } from "./desk.ts";
import { maxLooks, type Failures } from "./memory/failures.ts";
import type { Reading } from "./read-object.ts";
import { unavailable } from "./refusal.ts";

/** So many that fail at once are an outage, unless one that was read before can still be read. */
const mostFailing = 1_000;
/** Where no more fail, that is not asked. */
const fewFailing = 16;

/**
 * What becomes of a look that failed again and again. While other objects can be read it is the object's own
 * fault; while others wait for their turn, these are to tell. If it is the only one to be read, that shows after
 * some looks more, while the bucket can be listed: until then, and where it cannot be, it is an outage, and
 * `cause` is thrown.
 */
export async function giveUp(
  { key, listed }: Look,
  cause: unknown,
  run: {
    readonly isAlone: boolean;
    /** No other look waits. */
    readonly isLast: boolean;
    readonly bucket: Bucket;
    readonly failures: Failures;
    readonly canReadOther: () => Promise<boolean>;
    readonly signal: AbortSignal;
  },
): Promise<Reading> {
  const { isAlone, isLast, bucket, failures, canReadOther, signal } = run;
  // In an outage nothing is held against an object.
  const found =
    isAlone || !listed
      ? await bucket.find(key, { signal }).catch(() => {
          if (isAlone) throw cause;
          return undefined;
        })
      : listed;
  const { message } = unavailable(`bucket "${bucket.name}"`, cause);
  const looks = await failures.failed(key, found?.fingerprint, message);
  const count = failures.count();
  const isOutage = isAlone && looks < maxLooks && (isLast || count > mostFailing);
  if (isOutage && !(count > fewFailing && (await canReadOther()))) throw cause;
  return unreadable(key, message, cause);
}

/** `reason`: a message of ours. */
export function unreadable(key: string, reason: string, cause?: unknown): Reading {
  const error = new SluiceError(
    `s3: "${key}" cannot be read, though the bucket answers: ${reason}`,
    {
      code: "s3.unreadable",
      fix: "Look at the object: can it be downloaded? It is tried again when it changes, and after longer and longer waits.",
      cause,
    },
  );
  return { kind: "unreadable", cause: error };
}
