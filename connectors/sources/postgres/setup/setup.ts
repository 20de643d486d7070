import type { Finding, Log } from "sluice";
import type { Options } from "../config.ts";
import { stopAtErrors } from "./findings.ts";
import type { Names } from "./names.ts";
import { comparePublication, ensurePublication, publicationsOf } from "./publication.ts";
import { serverFindings } from "./server.ts";
import type { Session } from "../session.ts";
import { capturedTables, type Table } from "./tables.ts";

export interface Prepared {
  /** As they are published. */
  readonly tables: readonly Table[];
  /** For START_REPLICATION. */
  readonly publications: readonly string[];
  /** Tables that the publication carries, or carries otherwise, from now on only: to be copied anew. */
  readonly changed: readonly Table[];
  /** Publications that were not there: log from before cannot be streamed through them. */
  readonly created: readonly string[];
  /** What works now, but not as well or as long as it should: told once the stream runs, not at every try. */
  readonly warnings: readonly Finding[];
}

/**
 * Makes the database ready to stream from, except for the slot, which must be created after the
 * publication: log that is older than it cannot be streamed. Called at every start. Throws a
 * RetryableError with everything that a person must mend.
 */
export async function prepare(
  session: Session,
  options: Options,
  names: Names,
  log: Log,
  changing?: (tables: readonly Table[]) => Promise<void>,
): Promise<Prepared> {
  const ofServer = await serverFindings(session, options, names.slot);
  const captured = await capturedTables(session, options);
  const compared = await comparePublication(session, options, names, captured.tables);
  const findings = [...ofServer, ...captured.findings, ...compared.findings];
  stopAtErrors(findings);
  const warnings = findings.filter(({ severity }) => severity === "warning");
  const { tables } = compared;
  if (!options.setup)
    return {
      tables,
      publications: publicationsOf(names, tables),
      changed: [],
      created: [],
      warnings,
    };
  const ensured = await ensurePublication(session, names, captured.tables, {
    log,
    verify: async () => (await capturedTables(session, options)).findings,
    ...(changing && { changing }),
  });
  return { ...ensured, publications: publicationsOf(names, ensured.tables), warnings };
}
