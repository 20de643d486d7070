import { randomUUID } from "node:crypto";
import type { SluiceEvent } from "../../event.ts";
import type { Database } from "../../state/embedded/database.ts";
import { bodiesOf } from "../bodies.ts";
import { listenAgainMs, listenForMs } from "../tap.ts";

/** What is kept of a topic for those who tap it: for so long, and no more than so many bodies. */
const keepMs = 10_000;
const keepBodies = 64;
const maxChars = 512 * 1024;

/** The tables `taps`, `tap_counts` and `tapped`: who listens to a topic, and the copies that they are still to read. */
export type Taps = ReturnType<typeof openTaps>;

export function openTaps({ rows, run, write }: Database, project: string) {
  const countOf = (topic: string): number =>
    rows<[number]>(
      "SELECT events FROM tap_counts WHERE project = ? AND topic = ?",
      project,
      topic,
    )[0]?.[0] ?? 0;

  const isTapped = (topic: string, now: number): boolean =>
    rows(
      "SELECT 1 FROM taps WHERE project = ? AND topic = ? AND until > ? LIMIT 1",
      project,
      topic,
      now,
    ).length > 0;

  const listen = (topic: string, id: string): number =>
    write(() => {
      const now = Date.now();
      run("INSERT OR REPLACE INTO taps VALUES (?, ?, ?, ?)", project, topic, id, now + listenForMs);
      // Where nothing more is published, nothing else removes what was read long ago.
      run(
        "DELETE FROM tapped WHERE project = ? AND topic = ? AND at < ?",
        project,
        topic,
        now - listenForMs,
      );
      return countOf(topic);
    });

  const leave = (topic: string, id: string): void =>
    write(() => {
      const now = Date.now();
      run(
        "DELETE FROM taps WHERE project = ? AND topic = ? AND (id = ? OR until < ?)",
        project,
        topic,
        id,
        now,
      );
      if (!isTapped(topic, now))
        run("DELETE FROM tapped WHERE project = ? AND topic = ?", project, topic);
    });

  const after = (topic: string, count: number) =>
    rows<[first: number, events: number, body: string]>(
      `SELECT first, events, body FROM tapped WHERE project = ? AND topic = ? AND first >= ?
       ORDER BY first LIMIT 1`,
      project,
      topic,
      count,
    )[0];

  return {
    /** Within the transaction that publishes. Nothing where nobody listens. */
    copy: (topic: string, events: readonly SluiceEvent[]): void => {
      const now = Date.now();
      if (!isTapped(topic, now)) return;
      let count = countOf(topic);
      for (const { events: size, json } of bodiesOf(events, maxChars)) {
        run(
          "INSERT INTO tapped VALUES (NULL, ?, ?, ?, ?, ?, ?)",
          project,
          topic,
          count,
          now,
          size,
          json,
        );
        count += size;
      }
      run("INSERT OR REPLACE INTO tap_counts VALUES (?, ?, ?)", project, topic, count);
      run(
        `DELETE FROM tapped WHERE project = ? AND topic = ? AND (at < ? OR first < coalesce(
           (SELECT first FROM tapped WHERE project = ? AND topic = ?
            ORDER BY first DESC LIMIT 1 OFFSET ?), 0))`,
        project,
        topic,
        now - keepMs,
        project,
        topic,
        keepBodies - 1,
      );
    },

    /** Listens from now on. `wait` resolves when there may be more, and on abort. */
    read: (
      topic: string,
      {
        signal,
        missed,
        wait,
      }: {
        readonly signal: AbortSignal;
        readonly missed: ((events: number) => void) | undefined;
        readonly wait: () => Promise<void>;
      },
    ): AsyncIterable<SluiceEvent> => {
      signal.throwIfAborted();
      const id = randomUUID();
      let count = listen(topic, id);
      const again = setInterval(() => listen(topic, id), listenAgainMs).unref();
      const end = () => {
        clearInterval(again);
        leave(topic, id);
      };
      signal.addEventListener("abort", end, { once: true });

      async function* copies(): AsyncGenerator<SluiceEvent, void, undefined> {
        try {
          while (!signal.aborted) {
            const next = after(topic, count);
            if (!next) {
              await wait();
              continue;
            }
            const [first, events, body] = next;
            if (first > count) missed?.(first - count);
            count = first + events;
            yield* JSON.parse(body) as SluiceEvent[];
          }
        } finally {
          if (!signal.aborted) {
            signal.removeEventListener("abort", end);
            end();
          }
        }
      }
      return copies();
    },
  };
}
