import type { Database } from "../../state/embedded/database.ts";
import { timedId } from "../../timed-id.ts";
import { partitionsChanged } from "../partitions-changed.ts";
import type { Subscriber, Subscription, SubscriptionStatus } from "../queue.ts";

export interface Waiting {
  readonly topic: string;
  readonly name: string;
  readonly waiting: number;
  readonly oldestAt: number | null;
}

/** The tables `topics`, `subscriptions`, `heads` and `cursors`: which topics there are and who has subscribed. */
export type Registry = ReturnType<typeof openRegistry>;

export function openRegistry(database: Database, project: string) {
  const { rows, run, write } = database;

  /** The topic's id, within a transaction. Its number of partitions places data, so it changes only while none waits. */
  const enter = (topic: string, partitions: number): number => {
    const [known] = rows<[id: number, partitions: number]>(
      "SELECT id, partitions FROM topics WHERE project = ? AND name = ?",
      project,
      topic,
    );
    if (known?.[1] === partitions) return known[0];
    if (!known) {
      run(
        "INSERT INTO topics (project, name, partitions) VALUES (?, ?, ?)",
        project,
        topic,
        partitions,
      );
      return enter(topic, partitions);
    }
    const [id, before] = known;
    if (rows("SELECT 1 FROM log WHERE topic = ? LIMIT 1", id).length > 0)
      throw partitionsChanged(topic, before, partitions);
    run("UPDATE topics SET partitions = ? WHERE id = ?", partitions, id);
    for (const { name } of subscribers(id)) register(id, name, partitions);
    run("DELETE FROM cursors WHERE topic = ? AND partition >= ?", id, partitions);
    return id;
  };

  const subscribers = (topic: number): readonly Subscriber[] =>
    rows<[name: string, generation: string]>(
      "SELECT name, generation FROM subscriptions WHERE topic = ? ORDER BY name",
      topic,
    ).map(([name, generation]) => ({ name, generation }));

  /** Cursors at the heads: a subscription gets what is published from now on. */
  const register = (topic: number, name: string, partitions: number) => {
    const heads = headsOf(topic);
    for (let partition = 0; partition < partitions; partition++)
      run(
        "INSERT OR IGNORE INTO cursors VALUES (?, ?, ?, ?, 0)",
        topic,
        partition,
        name,
        heads.get(partition) ?? 0,
      );
  };

  const topicsNamed = (topic: string) =>
    rows<[id: number, partitions: number]>(
      "SELECT id, partitions FROM topics WHERE project = ? AND name = ?",
      project,
      topic,
    ).map(([id, partitions]) => ({ id, partitions }));

  const end = (topic: number, partitions: number, name: string) => {
    run("DELETE FROM subscriptions WHERE topic = ? AND name = ?", topic, name);
    run("DELETE FROM cursors WHERE topic = ? AND subscription = ?", topic, name);
    run("DELETE FROM log WHERE topic = ? AND audience = ?", topic, name);
    for (let partition = 0; partition < partitions; partition++) trim(database, topic, partition);
  };

  const headsOf = (topic: number) =>
    new Map(
      rows<[partition: number, position: number]>(
        "SELECT partition, position FROM heads WHERE topic = ?",
        topic,
      ),
    );

  return {
    enter,
    headsOf,

    subscribe: ({ topic, name, whenFull }: Subscription, partitions: number): "new" | "known" =>
      write(() => {
        const id = enter(topic, partitions);
        run("DELETE FROM detaching WHERE topic = ? AND name = ?", id, name);
        if (whenFull === "detach") run("INSERT INTO detaching VALUES (?, ?)", id, name);
        if (subscribers(id).some((one) => one.name === name)) return "known";
        run("INSERT INTO subscriptions VALUES (?, ?, ?)", id, name, timedId());
        run("DELETE FROM detached WHERE topic = ? AND name = ?", id, name);
        register(id, name, partitions);
        return "new";
      }),

    idOf: (topic: string): number | undefined => topicsNamed(topic)[0]?.id,

    partitionsOf: (topic: string): number | undefined => topicsNamed(topic)[0]?.partitions,

    subscribers: (topic: string): readonly Subscriber[] =>
      topicsNamed(topic).flatMap(({ id }) => subscribers(id)),

    unsubscribe: (topic: string, name: string): void =>
      write(() => {
        for (const { id, partitions } of topicsNamed(topic)) {
          end(id, partitions, name);
          run("DELETE FROM detaching WHERE topic = ? AND name = ?", id, name);
          run("DELETE FROM detached WHERE topic = ? AND name = ?", id, name);
        }
      }),

    /** Those that end when they are full, within a transaction. */
    detaching: (topic: number): ReadonlySet<string> =>
      new Set(
        rows<[string]>("SELECT name FROM detaching WHERE topic = ?", topic).map(([name]) => name),
      ),

    /** Ends a subscription because it is full, within a transaction. Answers how many events waited for it. */
    detach: (topic: number, partitions: number, name: string): number => {
      const [[events] = [0]] = rows<[number]>(
        `SELECT coalesce(sum(events), 0) FROM cursors JOIN log ON log.topic = cursors.topic
           AND log.partition = cursors.partition AND log.position > cursors.position
           AND (audience IS NULL OR audience = subscription)
         WHERE cursors.topic = ? AND subscription = ?`,
        topic,
        name,
      );
      end(topic, partitions, name);
      const at = new Date().toISOString();
      run("INSERT OR REPLACE INTO detached VALUES (?, ?, ?, ?)", topic, name, at, events);
      return events;
    },

    detached: (): readonly (Subscription & Required<Pick<SubscriptionStatus, "detached">>)[] =>
      rows<[topic: string, name: string, at: string, events: number]>(
        `SELECT topics.name, detached.name, at, events FROM detached
         JOIN topics ON topics.id = topic WHERE project = ? ORDER BY topics.name, detached.name`,
        project,
      ).map(([topic, name, at, events]) => ({ topic, name, detached: { at, events } })),

    waiting: (): readonly Waiting[] =>
      rows<[topic: string, name: string, waiting: number, oldestAt: number | null]>(
        `SELECT topics.name, subscription, coalesce(sum(events), 0), min(at)
         FROM topics JOIN cursors ON cursors.topic = topics.id
         LEFT JOIN log ON log.topic = cursors.topic AND log.partition = cursors.partition
           AND log.position > cursors.position AND (audience IS NULL OR audience = subscription)
         WHERE project = ? GROUP BY topics.id, subscription ORDER BY topics.name, subscription`,
        project,
      ).map(([topic, name, waiting, oldestAt]) => ({ topic, name, waiting, oldestAt })),
  };
}

/** Deletes what every subscription has passed. */
export function trim({ run }: Database, topic: number, partition: number): void {
  run(
    `DELETE FROM log WHERE topic = ? AND partition = ? AND position <= (
       SELECT coalesce(min(position), 9e15) FROM cursors WHERE topic = ? AND partition = ?)`,
    topic,
    partition,
    topic,
    partition,
  );
}
