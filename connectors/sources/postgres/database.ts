import type { Log } from "sluice";
import type { Options } from "./config.ts";
import { openSession, type Session } from "./session.ts";
import { stopAtErrors } from "./setup/findings.ts";
import { namesOf, type Names } from "./setup/names.ts";
import { comparePublication, ensurePublication } from "./setup/publication.ts";
import { prepare } from "./setup/setup.ts";
import { readOrigin, type SlotOrigin } from "./setup/slot.ts";
import { capturedTables, type Table } from "./setup/tables.ts";
import { shown } from "./setup/identifier.ts";
import { openReplication, type Replication } from "./wire/replication.ts";

/** The database, connected to and made ready to stream from, but for the slot. */
export interface Database {
  readonly names: Names;
  readonly server: SlotOrigin & { readonly flushLsn: bigint };
  readonly replication: Replication;
  /** For single statements. */
  readonly session: Session;
  /** For what runs beside the stream: setting up is a transaction, and nothing else may get into it. */
  readonly watcher: Session;
  readonly tables: readonly Table[];
  readonly publications: readonly string[];
  /** Names of tables that the publication carries from now on only, or otherwise than before. */
  readonly changed: readonly string[];
  /** The tables as they are now, and are published. */
  readonly list: () => Promise<readonly Table[]>;
  /** Brings the publication up to the tables; as `changed`. */
  readonly publish: () => Promise<readonly string[]>;
  readonly close: () => Promise<void>;
}

export async function openDatabase(
  config: Options,
  run: { readonly name: string; readonly log: Log; readonly signal: AbortSignal },
): Promise<Database> {
  const { name, log } = run;
  const names = namesOf(config, name);
  const opened: { readonly close: () => Promise<void> }[] = [];
  const close = async () => {
    await Promise.allSettled(opened.map((one) => one.close()));
  };
  try {
    const session = await openSession(config, run);
    opened.push(session);
    const watcher = await openSession(config, run);
    opened.push(watcher);
    const replication = await openReplication(config, run);
    opened.push(replication);
    const server = await readOrigin(replication);
    const { tables, publications, changed } = await prepare(session, config, names, log);
    return {
      names,
      server,
      replication,
      session,
      watcher,
      tables,
      publications,
      changed: changed.map(shown),
      list: async () => {
        const captured = await capturedTables(session, config);
        // A table that can no longer be captured must not vanish in silence; one that is gone is `onTableDropped`'s.
        stopAtErrors(captured.findings.filter(({ code }) => code !== "postgres.table-missing"));
        return (await comparePublication(session, config, names, captured.tables)).tables;
      },
      publish: async () => {
        if (!config.setup) return [];
        const captured = await capturedTables(watcher, config);
        const verify = async () => (await capturedTables(watcher, config)).findings;
        const ensured = await ensurePublication(watcher, names, captured.tables, { log, verify });
        return ensured.changed.map(shown);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
