import { ConfigError } from "../../errors.ts";
import type { Database } from "./database.ts";

/**
 * The format of the file, one step a version: a file of version n gets the steps after n. A step that
 * was released is never edited.
 *
 * - `state.key` is a BLOB because texts end at U+0000; both sort by their UTF-8 bytes. The rows lie in the order in
 *   which they came: keys are hashes often, and in their order each new row would be a page of its own to write.
 * - `leases.until` is wall-clock milliseconds; NULL = released.
 * - `log` holds one job a row: `body` is a JSON array of `events` events. `audience` = for that subscription only.
 *   An ordinary table with an index: without a rowid SQLite reads whole bodies to compare keys.
 * - `heads.position` is the last one given in a partition, `cursors.position` the last one acknowledged.
 * - `subscriptions.generation` is another one when a subscription ended and began anew.
 * - `cursors.holder` is the token of the lease that last took the partition: only it may move the cursor.
 * - `publishers.token` is the newest holder of a lease that has published under it: an earlier one no longer may.
 * - `detaching` names subscriptions that end when they are full, `detached` those that did, when, and with how much.
 * - `taps` says who listens to a topic, until when (wall-clock milliseconds); `tapped` holds what they are still to
 *   read, a JSON array a row. `first` counts the topic's events tapped before; `tap_counts` has the count after all.
 */
const steps = [
  `
  CREATE TABLE state (
    project TEXT NOT NULL, connector TEXT NOT NULL, key BLOB NOT NULL,
    value TEXT NOT NULL, revision INTEGER NOT NULL, expires INTEGER,
    PRIMARY KEY (project, connector, key)
  ) WITHOUT ROWID;
  CREATE INDEX state_expires ON state (expires) WHERE expires IS NOT NULL;
  CREATE TABLE leases (
    project TEXT NOT NULL, connector TEXT NOT NULL, lease TEXT NOT NULL,
    token INTEGER NOT NULL, until INTEGER,
    PRIMARY KEY (project, connector, lease)
  ) WITHOUT ROWID;
  CREATE TABLE topics (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL, name TEXT NOT NULL, partitions INTEGER NOT NULL,
    UNIQUE (project, name)
  );
  CREATE TABLE heads (
    topic INTEGER NOT NULL, partition INTEGER NOT NULL, position INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
  ) WITHOUT ROWID;
  CREATE TABLE cursors (
    topic INTEGER NOT NULL, partition INTEGER NOT NULL, subscription TEXT NOT NULL,
    position INTEGER NOT NULL, holder INTEGER NOT NULL,
    PRIMARY KEY (topic, partition, subscription)
  ) WITHOUT ROWID;
  CREATE TABLE log (
    id INTEGER PRIMARY KEY,
    topic INTEGER NOT NULL, partition INTEGER NOT NULL, position INTEGER NOT NULL,
    audience TEXT, at INTEGER NOT NULL, events INTEGER NOT NULL, body TEXT NOT NULL
  );
  CREATE UNIQUE INDEX log_place ON log (topic, partition, position);
  `,
  `
  CREATE TABLE subscriptions (
    topic INTEGER NOT NULL, name TEXT NOT NULL, generation TEXT NOT NULL,
    PRIMARY KEY (topic, name)
  ) WITHOUT ROWID;
  INSERT INTO subscriptions
    SELECT topic, subscription, lower(hex(randomblob(4))) FROM cursors GROUP BY topic, subscription;
  `,
  `
  ALTER TABLE state RENAME TO old_state;
  CREATE TABLE state (
    id INTEGER PRIMARY KEY,
    project TEXT NOT NULL, connector TEXT NOT NULL, key BLOB NOT NULL,
    value TEXT NOT NULL, revision INTEGER NOT NULL, expires INTEGER
  );
  INSERT INTO state (project, connector, key, value, revision, expires)
    SELECT project, connector, key, value, revision, expires FROM old_state;
  DROP TABLE old_state;
  CREATE UNIQUE INDEX state_key ON state (project, connector, key);
  CREATE INDEX state_expires ON state (expires) WHERE expires IS NOT NULL;
  `,
  `
  CREATE TABLE taps (
    project TEXT NOT NULL, topic TEXT NOT NULL, id TEXT NOT NULL, until INTEGER NOT NULL,
    PRIMARY KEY (project, topic, id)
  ) WITHOUT ROWID;
  CREATE TABLE tap_counts (
    project TEXT NOT NULL, topic TEXT NOT NULL, events INTEGER NOT NULL,
    PRIMARY KEY (project, topic)
  ) WITHOUT ROWID;
  CREATE TABLE tapped (
    id INTEGER PRIMARY KEY,
    project TEXT NOT NULL, topic TEXT NOT NULL, first INTEGER NOT NULL,
    at INTEGER NOT NULL, events INTEGER NOT NULL, body TEXT NOT NULL
  );
  CREATE INDEX tapped_place ON tapped (project, topic, first);
  CREATE TABLE detaching (topic INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (topic, name)) WITHOUT ROWID;
  CREATE TABLE detached (
    topic INTEGER NOT NULL, name TEXT NOT NULL, at TEXT NOT NULL, events INTEGER NOT NULL,
    PRIMARY KEY (topic, name)
  ) WITHOUT ROWID;
  `,
  `
  CREATE TABLE publishers (
    topic INTEGER NOT NULL, lease TEXT NOT NULL, token INTEGER NOT NULL, PRIMARY KEY (topic, lease)
  ) WITHOUT ROWID;
  `,
];

/** Brings the file to this version's format; refuses one written by a newer Sluice. */
export function upgrade(database: Database, path: string): void {
  if (formatOf(database) === steps.length) return;
  database.write(() => {
    const format = formatOf(database); // again: another process may just have done it
    if (format > steps.length)
      throw new ConfigError(
        `state: ${path} has format ${format}; this version of Sluice knows formats up to ${steps.length}.`,
        {
          code: "state.format-newer",
          fix: "Use the newer version of Sluice that wrote it, or another directory.",
        },
      );
    for (const step of steps.slice(format))
      for (const sql of step.split(";")) if (sql.trim() !== "") database.run(sql);
    database.run(`PRAGMA user_version = ${steps.length}`);
  });
}

function formatOf(database: Database): number {
  return database.rows<[number]>("PRAGMA user_version")[0]?.[0] ?? 0;
}
