import type { SluiceEvent } from "../../event.ts";
import type { Database } from "../../state/embedded/database.ts";
import type { Fence } from "../../state/state.ts";
import { fencedPublisher } from "../fenced-publisher.ts";
import type { Job } from "./jobs.ts";
import type { Records } from "../queue.ts";
import { withoutRecords } from "../without.ts";
import { trim, type Registry } from "./registry.ts";
import type { Taps } from "./tap.ts";

/** A subscription's place in one partition, as its present holder sees it. */
export interface Place {
  readonly topic: number;
  readonly partition: number;
  readonly name: string;
  /** Of the lease it is held by. */
  readonly token: number;
}

export interface Taken {
  readonly position: number;
  readonly events: readonly SluiceEvent[];
}

export interface Acknowledgement {
  readonly place: Place;
  readonly position: number;
}

/** The table `log` and the subscriptions' ways through it. Every method is one transaction. */
export type Log = ReturnType<typeof openLog>;

export function openLog(database: Database, registry: Registry, taps: Taps) {
  const { enter, headsOf } = registry;
  const { rows, run, write } = database;

  const isFull = (topic: number, partition: number, name: string, after: number, limit: number) =>
    rows(
      `SELECT 1 FROM log WHERE topic = ? AND partition = ? AND position > ?
       AND (audience IS NULL OR audience = ?) LIMIT 1 OFFSET ?`,
      topic,
      partition,
      after,
      name,
      limit - 1,
    ).length > 0;

  /** Invariant 2: whoever stood still while somebody took over must not publish behind what is newer. */
  const yieldTo = (topic: number, fence: Fence) => {
    const { lease, token } = fence;
    const [newest] = rows<[token: number]>(
      "SELECT token FROM publishers WHERE topic = ? AND lease = ?",
      topic,
      lease,
    );
    if (newest && newest[0] > token) throw fencedPublisher(fence);
    if (newest?.[0] !== token)
      run("INSERT OR REPLACE INTO publishers VALUES (?, ?, ?)", topic, lease, token);
  };

  return {
    enter: (topic: string, partitions: number): number => write(() => enter(topic, partitions)),

    /**
     * Adds the jobs for everybody registered, or nothing: "nobody" without a subscription ("dropped" where that
     * is allowed), "full" while one of them has `limit` jobs waiting in a partition that a job is for.
     */
    append: (
      topic: string,
      partitions: number,
      jobs: readonly Job[],
      {
        limit,
        optional,
        events,
        fence,
        detached = () => {},
      }: {
        readonly limit: number;
        readonly optional: boolean;
        /** What the jobs hold, for those who tap. */
        readonly events: readonly SluiceEvent[];
        /** Throws `FencedError` once a later holder of this lease has added something to the topic. */
        readonly fence?: Fence | undefined;
        /** Told of each subscription that ended because it was full, with as many events. */
        readonly detached?: (name: string, events: number) => void;
      },
    ): "done" | "dropped" | "nobody" | "full" =>
      write(() => {
        const id = enter(topic, partitions);
        if (fence) yieldTo(id, fence);
        const cursors = rows<[partition: number, name: string, position: number]>(
          "SELECT partition, subscription, position FROM cursors WHERE topic = ?",
          id,
        );
        if (cursors.length === 0) {
          if (!optional) return "nobody";
          taps.copy(topic, events);
          return "dropped";
        }
        const heads = headsOf(id);
        const touched = new Set(jobs.map(({ partition }) => partition));
        const names = new Set<string>();
        const full = new Set<string>();
        for (const [partition, name, position] of cursors) {
          names.add(name);
          // Counted only where it may be full: the distance to the head includes other audiences' jobs.
          if (!touched.has(partition) || (heads.get(partition) ?? 0) - position < limit) continue;
          if (isFull(id, partition, name, position, limit)) full.add(name);
        }
        if (full.size > 0) {
          const detaching = registry.detaching(id);
          if ([...full].some((name) => !detaching.has(name))) return "full";
          for (const name of full) {
            names.delete(name);
            detached(name, registry.detach(id, partitions, name)); // Invariant 13
          }
          if (names.size === 0) return "nobody";
        }
        const at = Date.now();
        for (const { partition, audience, events, json } of jobs) {
          if (audience !== null && !names.has(audience)) continue;
          const position = (heads.get(partition) ?? 0) + 1;
          heads.set(partition, position);
          run(
            "INSERT INTO log VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)",
            id,
            partition,
            position,
            audience,
            at,
            events,
            json,
          );
        }
        for (const partition of touched)
          run(
            "INSERT OR REPLACE INTO heads VALUES (?, ?, ?)",
            id,
            partition,
            heads.get(partition) ?? 0,
          );
        taps.copy(topic, events);
        return "done";
      }),

    /** From now on only `token` may acknowledge. `isOurs` is asked within the transaction. */
    hold: ({ topic, partition, name, token }: Place, isOurs: () => boolean): void =>
      write(() => {
        if (isOurs())
          run(
            "UPDATE cursors SET holder = ? WHERE topic = ? AND partition = ? AND subscription = ?",
            token,
            topic,
            partition,
            name,
          );
      }),

    /** The first job not acknowledged; "lost" when somebody else holds the partition. */
    take: ({ topic, partition, name, token }: Place): Taken | "lost" | undefined => {
      const [cursor] = rows<[position: number, holder: number]>(
        "SELECT position, holder FROM cursors WHERE topic = ? AND partition = ? AND subscription = ?",
        topic,
        partition,
        name,
      );
      if (!cursor) return undefined;
      if (cursor[1] !== token) return "lost";
      const [job] = rows<[position: number, body: string]>(
        `SELECT position, body FROM log WHERE topic = ? AND partition = ? AND position > ?
         AND (audience IS NULL OR audience = ?) ORDER BY position LIMIT 1`,
        topic,
        partition,
        cursor[0],
        name,
      );
      return job && { position: job[0], events: JSON.parse(job[1]) as SluiceEvent[] };
    },

    /** Of each partition the second job that is not acknowledged, or one further on: the first one is being handled. */
    peek: (topic: string, name: string, skip: number): readonly SluiceEvent[] =>
      rows<[body: string]>(
        `SELECT body FROM cursors JOIN log ON log.id = (
           SELECT id FROM log WHERE log.topic = cursors.topic AND log.partition = cursors.partition
             AND log.position > cursors.position AND (audience IS NULL OR audience = subscription)
           ORDER BY log.position LIMIT 1 OFFSET ?)
         WHERE cursors.topic = ? AND subscription = ? ORDER BY cursors.partition`,
        1 + skip,
        registry.idOf(topic) ?? -1,
        name,
      ).flatMap(([body]) => JSON.parse(body) as SluiceEvent[]),

    /** Takes the events of records out of the jobs of all topics of a project. */
    erase: (project: string, records: Records): number => {
      let erased = 0;
      for (let last = 0; ;) {
        const jobs = rows<[id: number, body: string]>(
          `SELECT id, body FROM log WHERE id > ? AND instr(body, ?) > 0
           AND topic IN (SELECT id FROM topics WHERE project = ?) ORDER BY id LIMIT 20`,
          last,
          JSON.stringify(records.source),
          project,
        );
        const [final] = jobs.at(-1) ?? [];
        if (final === undefined) return erased;
        last = final;
        write(() => {
          for (const [id, body] of jobs) {
            const rest = withoutRecords(body, records);
            if (rest === undefined) continue;
            run("UPDATE log SET body = ?, events = ? WHERE id = ?", rest.json, rest.left, id);
            erased += rest.removed;
          }
        });
      }
    },

    /**
     * Moves cursors and deletes what all have passed. False where somebody else holds the partition.
     * Lazy: an acknowledgement lost with the power repeats a batch, which is allowed (Invariant 2).
     */
    acknowledge: (done: readonly Acknowledgement[]): readonly boolean[] =>
      write(
        () =>
          done.map(({ place: { topic, partition, name, token }, position }) => {
            const moved = run(
              `UPDATE cursors SET position = ? WHERE topic = ? AND partition = ? AND subscription = ?
             AND holder = ? AND position < ?`,
              position,
              topic,
              partition,
              name,
              token,
              position,
            );
            if (moved === 0) return false;
            trim(database, topic, partition);
            run(
              "DELETE FROM log WHERE topic = ? AND partition = ? AND position = ? AND audience = ?",
              topic,
              partition,
              position,
              name,
            );
            return true;
          }),
        { lazy: true },
      ),
  };
}
