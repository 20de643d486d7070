import type { Finding, Log } from "sluice";
import type { Options } from "./config.ts";
import { openSession, type Session } from "./session.ts";
import { stopAtErrors, warned } from "./setup/findings.ts";
import { namesOf, type Names } from "./setup/names.ts";
import { comparePublication, ensurePublication } from "./setup/publication.ts";
import { prepare, type Prepared } from "./setup/setup.ts";
import { inUse, readOrigin, readSlot, type SlotOrigin } from "./setup/slot.ts";
import { capturedTables, type Table } from "./setup/tables.ts";
import { quoted, rowsOf, shown } from "./setup/identifier.ts";
import type { Listed } from "./stream/captured.ts";
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
  /** Publications that are made just now. */
  readonly created: readonly string[];
  readonly warnings: Prepared["warnings"];
  /** The tables as they are now and are published, and those that cannot be followed now. */
  readonly list: () => Promise<Listed>;
  /** Brings the publication up to the tables: names of those that it carries from now on only, or otherwise than before. */
  readonly publish: () => Promise<readonly string[]>;
  readonly close: () => Promise<void>;
}

export async function openDatabase(
  config: Options,
  run: {
    readonly name: string;
    readonly project: string;
    readonly log: Log;
    readonly signal: AbortSignal;
    /** Notes tables that the publication is about to carry, or to carry otherwise: a crash must not forget them. */
    readonly changing: (tables: readonly string[]) => Promise<void>;
  },
): Promise<Database> {
  const { log } = run;
  const names = namesOf(config, run);
  const changing = (some: readonly Table[]) => run.changing(some.map(shown));
  const opened: { readonly close: () => Promise<void> }[] = [];
  const close = async () => {
    await Promise.allSettled(opened.map((one) => one.close()));
  };
  try {
    const session = await openSession(config, run);
    opened.push(session);
    const watcher = await openSession(config, run);
    opened.push(watcher);
    // The catalog waits for a table that is locked; the stream, which reads long values again, must not.
    const catalog = await openSession(config, run);
    opened.push(catalog);
    const replication = await openReplication(config, run);
    opened.push(replication);
    const server = await readOrigin(replication);
    // Before the publication is touched: whoever uses the slot streams from it.
    const facts = await readSlot(session, names.slot);
    if (facts?.activePid != null) throw inUse(names.slot, facts.activePid);
    const prepared = await prepare(session, config, names, log, changing);
    const { tables, publications, created, warnings } = prepared;
    return {
      names,
      server,
      replication,
      session,
      watcher,
      tables,
      publications,
      created,
      warnings,
      list: () => listed(catalog, config, names),
      publish: async () => {
        if (!config.setup) return [];
        const captured = await capturedTables(watcher, config);
        // What cannot be captured now is taken out; what can must still be so when it is published.
        const verify = async () => {
          const now = await capturedTables(watcher, config);
          const isStill = ({ oid }: Table) => now.tables.some((other) => other.oid === oid);
          return captured.tables.every(isStill) ? [] : now.findings;
        };
        const ensured = await ensurePublication(watcher, names, captured.tables, {
          log,
          verify,
          changing,
        });
        return ensured.changed.map(shown);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** One table that cannot be followed stops by itself; what stops all of them is thrown. */
async function listed(session: Session, config: Options, names: Names): Promise<Listed> {
  const { tables, findings, refused } = await capturedTables(session, config);
  const compared = await comparePublication(session, config, names, tables);
  const ofTables = new Set(refused.flatMap((one) => one.findings));
  stopAtErrors(
    [...findings, ...compared.findings].filter(
      (finding) => !ofTables.has(finding) && !ofOneTable.has(finding.code),
    ),
  );
  const stopped = new Map<string, Finding>();
  for (const one of refused) {
    const why = one.findings.find(({ severity }) => severity !== "ok");
    if (why) stopped.set(shown(one), why);
  }
  const published = compared.tables.filter(({ membership }) => membership !== undefined);
  for (const table of compared.tables)
    if (!published.includes(table)) stopped.set(shown(table), unpublished(table, names));
  return { tables: published, stopped };
}

/** Gone ones are `onTableDropped`'s, unpublished ones are `stopped`. */
const ofOneTable: ReadonlySet<string> = new Set([
  "postgres.table-missing",
  "postgres.no-tables",
  "postgres.publication-lacks-table",
]);

function unpublished(table: Table, { publication, inserts }: Names): Finding {
  const name = table.insertOnly ? inserts : publication;
  return warned(
    "postgres.publication-lacks-table",
    `publication ${quoted(name)} lacks ${shown(table)}.`,
    `ALTER PUBLICATION ${quoted(name)} ADD TABLE ${rowsOf(table)};`,
  );
}
