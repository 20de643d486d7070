import type { SourceBatch } from "sluice";
import type { Position } from "./position.ts";
import type { Session } from "./session.ts";
import type { Delivered } from "./snapshot/visibility.ts";
import type { Acknowledger } from "./stream/acknowledge.ts";
import type { Gathered } from "./stream/batch.ts";
import type { Markers } from "./stream/markers.ts";
import type { Reader } from "./stream/reader.ts";
import { decode } from "./wire/decode.ts";
import type { WalStream } from "./wire/wal-stream.ts";

/** Positions without events are stored this seldom: each is a write. */
const idleCheckpointMs = 1_000;
const maxDelivered = 50_000;

/**
 * Reads the stream and yields what it says, a page at a time, and at their markers' places the chunks
 * of snapshots. Ends where `isThrough` becomes true, with `last` in the last checkpoint.
 */
export async function* pump(parts: {
  readonly stream: WalStream;
  readonly reader: Reader;
  readonly batch: Gathered;
  readonly markers: Markers;
  readonly delivered: Delivered;
  readonly acknowledger: Acknowledger;
  readonly session: Session;
  readonly isThrough: () => boolean;
  readonly last: Partial<Position>;
  readonly signal: AbortSignal;
}): AsyncGenerator<SourceBatch<Position>> {
  const { stream, reader, batch, markers, delivered, acknowledger, session, isThrough } = parts;
  let storedAt = performance.now();
  let stored = reader.lsn();
  let before = reader.position();

  async function* flush(): AsyncGenerator<SourceBatch<Position>> {
    const position = reader.position();
    const checkpoint = isThrough() ? { ...position, ...parts.last } : position;
    const lsn = reader.lsn();
    for await (const { isLast, ...part } of batch.take(session, parts.signal))
      yield { checkpoint: isLast ? checkpoint : before, ...part };
    before = checkpoint;
    // Invariant 1: behind the yield the events are in the queue, and the checkpoint is stored.
    [stored, storedAt] = [lsn, performance.now()];
    acknowledger.stored(lsn);
  }

  while (!isThrough()) {
    const page = await stream.take();
    for (let at = 0; at < page.count; at++) {
      const [from = 0, to = 0] = [page.offsets[2 * at], page.offsets[2 * at + 1]];
      const message = decode(page.bytes, from, to);
      const wait = reader.handle(message, to - from);
      if (wait) await wait;
      if (message.kind === "message" && message.prefix === markers.prefix) {
        const place = reader.markerPlace();
        const handle = markers.reached(message.content.toString());
        for (const group of (place && handle?.(place)) ?? []) {
          if (!batch.fits(group) && !batch.isEmpty()) yield* flush();
          batch.addGroup(group);
        }
      }
      if (batch.isFull()) yield* flush();
    }
    const isLate = reader.lsn() > stored && performance.now() - storedAt > idleCheckpointMs;
    if (!batch.isEmpty() || isLate || isThrough()) yield* flush();
    if (delivered.size() > maxDelivered) {
      const [[snapshot] = []] = await session.query("SELECT pg_current_snapshot()");
      delivered.forget(snapshot ?? "");
    }
  }
}
