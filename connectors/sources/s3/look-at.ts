import type { Bucket } from "./bucket.ts";
import type { Options } from "./config.ts";
import type { Look, Room } from "./desk.ts";
import { unreadable } from "./give-up.ts";
import { integrity } from "./integrity.ts";
import type { Notes } from "./memory/notes.ts";
import { readObject, type Reading } from "./read-object.ts";
import { unavailable } from "./refusal.ts";
import type { Select } from "./select.ts";
import { isFolder } from "./suspects.ts";

const maxUnpacked = 10_000;

/** Makes what answers a look: without a request where none is needed. It throws a `SluiceError`. */
export function lookAt(run: {
  readonly config: Options;
  readonly bucket: Bucket;
  readonly notes: Notes;
  readonly select: Select;
  readonly signal: AbortSignal;
}): (look: Look, room: Room) => Promise<Reading> {
  const { bucket, select, signal } = run;
  const { maxBytes } = run.config;
  const { memory, doubts, failures } = run.notes;
  const isIntact = integrity();

  /** States that are too large once they are unpacked, so that not every listing does that again. */
  const unpacked = new Map<string, string>();

  return async (look, room) => {
    const { key, listed, isForced, isRecheck = false } = look;
    if (!select.wants(key)) return { kind: "none" };
    if (listed && (listed.size > maxBytes || unpacked.get(key) === listed.fingerprint))
      return { kind: "too-large", bytes: listed.size };
    const isTold = isForced || look.messages.length > 0;
    const reason = isTold ? undefined : failures.resting(key, listed?.fingerprint ?? "");
    if (reason !== undefined) return unreadable(key, reason);
    const known = listed ? look.known : (await memory.open([key])).get(key);
    const isWanted = isForced || doubts.has(key);
    const wish = {
      listed,
      known: isWanted ? undefined : known,
      maxBytes,
      isIntact,
      isRecheck,
      signal,
      room,
    };
    const reading = await readObject(bucket, key, wish).catch((error: unknown) => {
      signal.throwIfAborted();
      throw unavailable(`bucket "${bucket.name}"`, error);
    });
    if (reading.kind === "unreadable") {
      const { message } = unavailable(`object "${key}"`, reading.cause);
      await failures.failed(key, listed?.fingerprint, message);
    }
    if (reading.kind === "too-large" && listed) {
      if (unpacked.size === maxUnpacked) unpacked.clear();
      unpacked.set(key, listed.fingerprint);
    }
    return reading.kind === "content" && isFolder(key, reading.object.size)
      ? { kind: "none" }
      : reading;
  };
}
