import { ConfigError, PositionLostError, type Finding, type Log } from "sluice";
import { listed } from "./access.ts";
import type { Options } from "../config.ts";
import { advised, failed, fine, stopAtErrors, warned } from "./findings.ts";
import { literal, quoted } from "./identifier.ts";
import type { Names } from "./names.ts";
import { mark } from "./publication-facts.ts";
import type { Difference } from "./publication-plan.ts";
import { publicationStates, type PublicationState } from "./publication-state.ts";
import type { Session } from "../session.ts";
import type { Table } from "./tables.ts";
import { sqlState } from "../wire/refusals.ts";

type Asker = Pick<Session, "query" | "serverVersion">;

/** The publications to stream from: only those that some table needs. */
export function publicationsOf(names: Names, tables: readonly Table[]): readonly string[] {
  return [
    ...(tables.some(({ insertOnly }) => !insertOnly) ? [names.publication] : []),
    ...(tables.some(({ insertOnly }) => insertOnly) ? [names.inserts] : []),
  ];
}

/**
 * How the publications differ from what the tables need; changes nothing. What setup may mend by
 * itself is no error. `tables` come back as they are published: with the row filter and the columns
 * of a publication that others keep.
 */
export async function comparePublication(
  session: Asker,
  options: Pick<Options, "setup">,
  names: Names,
  tables: readonly Table[],
): Promise<{ readonly findings: readonly Finding[]; readonly tables: readonly Table[] }> {
  return toComparison(session, options, await publicationStates(session, names, tables));
}

/**
 * Creates and alters the publications until they publish the tables, in one transaction. What setup
 * did not make itself is only added to. `changed`: tables whose rows come, or come otherwise, from
 * now on only. `created`: publications that were not there. Throws where it may not do what is needed, or where `verify`, called before the commit
 * while no identity can change, finds an error.
 */
export async function ensurePublication(
  session: Asker,
  names: Names,
  tables: readonly Table[],
  run: {
    readonly log: Log;
    readonly verify: () => Promise<readonly Finding[]>;
    /** Called with `changed` before the commit: whoever must remember them does it now. */
    readonly changing?: (tables: readonly Table[]) => Promise<void>;
  },
): Promise<{
  readonly tables: readonly Table[];
  readonly changed: readonly Table[];
  readonly created: readonly string[];
}> {
  const states = await publicationStates(session, names, tables);
  const comparison = await toComparison(session, { setup: true }, states);
  stopAtErrors(comparison.findings);
  const changed = await change(session, names, states, run);
  const isNew = ({ facts, wish }: PublicationState) => !facts && wish.tables.length > 0;
  return {
    tables: comparison.tables,
    changed,
    created: states.filter(isNew).map(({ wish }) => wish.name),
  };
}

async function toComparison(
  session: Asker,
  options: Pick<Options, "setup">,
  states: readonly PublicationState[],
): Promise<{ readonly findings: readonly Finding[]; readonly tables: readonly Table[] }> {
  const [[mayCreate] = []] = await session.query(
    "SELECT has_database_privilege(current_database(), 'CREATE')",
  );
  const findings = states.flatMap((state) => {
    const name = `publication ${quoted(state.wish.name)}`;
    const isRight = state.wish.tables.length > 0 && state.differences.length === 0;
    return [
      ...state.differences.map((one) => toFinding(state, one, options.setup, mayCreate === "t")),
      ...state.adopted.map((table) =>
        warned(
          "postgres.publication-filter",
          `${name} carries only rows of ${listed([table])} with ${table.where ?? ""}; the copy does too.`,
        ),
      ),
      ...(isRight ? [fine("postgres.publication", `${name} carries all that is captured.`)] : []),
    ];
  });
  return { findings, tables: states.flatMap((state) => state.tables) };
}

function toFinding(
  state: PublicationState,
  difference: Difference,
  setup: boolean,
  mayCreate: boolean,
): Finding {
  const { code, what, statements, isMinor } = difference;
  const name = `publication ${quoted(state.wish.name)}`;
  const reason = setup ? hindrance(state, difference, mayCreate) : undefined;
  if (setup && reason === undefined)
    return fine("postgres.publication", `${name} ${what}: the start mends it.`);
  const say = isMinor ? warned : failed;
  const message = `${name} ${what}${reason === undefined ? "" : `, and ${reason}`}.`;
  if (statements.length > 0) return say(code, message, statements.join(" "));
  return advised(say(code, message), difference.advice ?? "");
}

/** Why setup cannot or will not run the statements. */
function hindrance(
  { facts, isOurs }: PublicationState,
  { tables, narrows }: Difference,
  mayCreate: boolean,
): string | undefined {
  if (narrows && !isOurs) return "it was not made by this connector, so nothing is taken from it";
  if (!facts && !mayCreate) return "this role may create none in this database";
  if (facts && !facts.isOwned) return "this role does not own it";
  const foreign = tables.filter(({ isOwned }) => !isOwned);
  return foreign.length > 0 ? `this role does not own ${listed(foreign)}` : undefined;
}

async function change(
  session: Asker,
  names: Names,
  states: readonly PublicationState[],
  { log, verify, changing }: Parameters<typeof ensurePublication>[3],
): Promise<readonly Table[]> {
  const plans = states.flatMap((state) =>
    state.differences
      .filter(({ isMinor }) => !isMinor || (state.isOurs && state.facts?.isOwned === true))
      .map((difference) => ({ ...state, difference })),
  );
  if (plans.length === 0) return [];
  // Deletes that were not published for a while are as lost as rows.
  const named = plans.flatMap(({ wish, difference: { code, narrows, tables } }) =>
    code === "postgres.publication-operations" && narrows !== true ? wish.tables : tables,
  );
  const changed = [...new Map(named.map((table) => [table.oid, table])).values()];
  await session.query("BEGIN");
  try {
    for (const { wish, facts, difference } of plans) {
      for (const statement of difference.statements) await session.query(statement);
      if (!facts)
        await session.query(
          `COMMENT ON PUBLICATION ${quoted(wish.name)} IS ${literal(mark(names.owner))}`,
        );
    }
    stopAtErrors(await verify());
    await changing?.(changed);
    await session.query("COMMIT");
  } catch (error) {
    await session.query("ROLLBACK").catch(() => {}); // The connection may be what failed.
    throw refusal(error, names);
  }
  for (const { wish, difference } of plans) {
    const fields = { publication: wish.name, statements: difference.statements };
    if (difference.code === "postgres.publication-extra-table")
      log.warn(fields, "publication changed: tables are no longer captured");
    else log.info(fields, "publication changed");
  }
  return changed;
}

/**
 * Up to PostgreSQL 17 log from before a publication was made ends the stream that asks for it, at every
 * try. Other errors come back as they are.
 */
export function toGap(error: unknown, from: string): unknown {
  const [, name] = /publication "(.*)" does not exist/.exec(String(error)) ?? [];
  if (sqlState(error) !== "42704" || name === undefined) return error;
  return new PositionLostError(
    `postgres: publication ${quoted(name)} is younger than the log from ${from} on, which cannot be read through it.`,
    {
      code: "postgres.publication-younger",
      fix: 'Make publications before the slot. Now: set `"onGap": "resnapshot"` on the connector to read all tables again.',
      cause: error,
    },
  );
}

/** What PostgreSQL itself finds wrong with the configuration, a function in a `where` for example. */
function refusal(error: unknown, names: Names): unknown {
  const state = sqlState(error);
  // A table, or the publication itself, may have gone or changed since it was read: no fault of the configuration.
  const isPassing = ["42P01", "42704", "42710"].includes(state ?? "");
  if (state === undefined || isPassing || !/^(?:42|22|0A)/.test(state)) return error;
  return new ConfigError(
    `postgres: publication ${quoted(names.publication)} is refused: ${error instanceof Error ? error.message : state}`,
    {
      code: "postgres.publication-refused",
      fix: "Correct `tables`: a `where` may use columns, constants and built-in immutable functions only.",
      cause: error,
    },
  );
}
