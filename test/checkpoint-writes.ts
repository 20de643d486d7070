import { join } from "node:path";
import { Redis } from "ioredis";
import Libsql from "libsql";
import type { Place } from "../core/config/pipeline.ts";
import { openEmbeddedState } from "../core/state/embedded/index.ts";

/** A checkpoint that was stored, in the order of storing; refused writes are not among them. */
export interface CheckpointWrite {
  readonly by: number;
  readonly after: number;
}

/** Records every checkpoint that is stored at a place from now on, as the store itself tells: MONITOR, or a trigger. */
export async function recordCheckpoints(place: Place): Promise<{
  readonly all: () => readonly CheckpointWrite[];
  readonly stop: () => void;
}> {
  return place.kind === "redis" ? await monitored(place.url) : await triggered(place.dir);
}

async function monitored(url: string) {
  const client = new Redis(url);
  const monitor = await client.monitor();
  const all: CheckpointWrite[] = [];
  // What a script writes, it names; what it refuses, it does not write.
  monitor.on("monitor", (_time: string, args: readonly string[], source: string) => {
    if (source !== "lua" || args[0]?.toUpperCase() !== "HSET" || args[2] !== "checkpoint") return;
    const [, , ...json] = (args[3] ?? "").split(" ");
    all.push(JSON.parse(json.join(" ")) as CheckpointWrite);
  });
  return {
    all: () => all,
    stop: () => {
      monitor.disconnect();
      client.disconnect();
    },
  };
}

async function triggered(dir: string) {
  await openEmbeddedState({ dir }).close(); // makes the tables
  const connection = new Libsql(join(dir, "sluice.db"), { timeout: 10_000 });
  connection.exec("CREATE TABLE written (id INTEGER PRIMARY KEY, value TEXT)");
  for (const what of ["INSERT", "UPDATE"])
    connection.exec(
      `CREATE TRIGGER written_${what} AFTER ${what} ON state WHEN CAST(new.key AS TEXT) = 'checkpoint'
       BEGIN INSERT INTO written (value) VALUES (new.value); END`,
    );
  return {
    all: () =>
      connection
        .prepare("SELECT value FROM written ORDER BY id")
        .raw()
        .all()
        .map((row) => JSON.parse((row as [string])[0]) as CheckpointWrite),
    stop: () => void connection.close(),
  };
}
