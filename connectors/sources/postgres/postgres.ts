import { defineSource } from "sluice";
import { config } from "./config.ts";
import { follow } from "./follow.ts";
import { position } from "./position.ts";
import { scan } from "./scan.ts";
import { check } from "./setup/preflight.ts";
import { remove } from "./setup/remove.ts";

/**
 * Captures tables by logical replication: a snapshot, then every committed change, in order. Needs
 * PostgreSQL 14 or newer with `wal_level = logical`; reads through `pgoutput`.
 */
export const postgres = defineSource({
  name: "postgres",
  version: "1.0.0",
  summary: "Rows of PostgreSQL tables, by logical replication.",
  config,
  checkpoint: position,
  emits: ["dev.sluice.record.", "dev.sluice.collection.cleared"],
  capabilities: { deletes: true, snapshotOnRequest: true, replays: true, forgets: true },
  check,
  remove,
  scan,
  read: follow,
});
