import type { Finding } from "sluice";
import type { Relation } from "./catalog.ts";
import { advised, failed } from "./findings.ts";
import { qualified, quoted, quotedList, rowsOf, shown } from "./identifier.ts";
import { sharedIdentity, toFull } from "./identity.ts";
import type { Session } from "../session.ts";
import { sqlState } from "../wire/refusals.ts";

/**
 * What is wrong with a row filter, as far as can be told without making a publication: PostgreSQL
 * itself refuses functions and subqueries in it when it is made.
 */
export async function filterFindings(
  session: Pick<Session, "query" | "serverVersion">,
  relation: Relation,
  options: { readonly where?: string | undefined; readonly insertOnly: boolean },
): Promise<readonly Finding[]> {
  const { where, insertOnly } = options;
  if (where === undefined) return [];
  const name = shown(relation);
  if (session.serverVersion < 150_000)
    return [
      advised(
        failed("postgres.where-too-old", `the \`where\` of ${name} needs PostgreSQL 15.`),
        "Take `where` out and use the `filter` transform, or update the server.",
      ),
    ];
  const kind = relation.kind === "p" ? "partitioned" : "table";
  const problem = await explain(session, rowsOf({ ...relation, kind }), where);
  if (problem.state === "42501") return []; // Told by what the role may not read.
  if (problem.state !== undefined)
    return [
      advised(
        failed("postgres.bad-where", `the \`where\` of ${name} is refused: ${problem.message}`),
        "Write a condition on columns of that table, as behind WHERE.",
      ),
    ];
  const identity = sharedIdentity(relation);
  if (insertOnly || identity === "all" || identity.length === 0) return [];
  // Only these columns are there: another one in the condition is an undefined column.
  const narrowed = `(SELECT ${quotedList(identity)} FROM ${qualified(relation)}) AS ${quoted(relation.name)}`;
  if ((await explain(session, narrowed, where)).state === undefined) return [];
  return [
    failed(
      "postgres.where-outside-identity",
      `the \`where\` of ${name} uses more than its replica identity (${quotedList(identity)}): published, its updates and deletes would fail.`,
      toFull(relation),
    ),
  ];
}

/** True when PostgreSQL plans both conditions alike. */
export async function isSameFilter(
  session: Pick<Session, "query">,
  table: { readonly schema: string; readonly name: string; readonly kind: "table" | "partitioned" },
  one: string,
  other: string,
): Promise<boolean> {
  const [first, second] = [
    await explain(session, rowsOf(table), one),
    await explain(session, rowsOf(table), other),
  ];
  return first.plan !== undefined && first.plan === second.plan;
}

/** A parameter makes it one statement, whatever the condition tries to add. */
async function explain(
  session: Pick<Session, "query">,
  from: string,
  where: string,
): Promise<{ readonly plan?: string; readonly state?: string; readonly message?: string }> {
  try {
    const plan = await session.query(
      `EXPLAIN (COSTS OFF) SELECT FROM ${from} WHERE (${where}\n) AND $1`,
      [true],
    );
    return { plan: plan.map(([line]) => line).join("\n") };
  } catch (error) {
    const state = sqlState(error);
    // Conditions that fail are of these classes; anything else is trouble with the connection.
    if (state === undefined || !/^(?:42|22|0A)/.test(state)) throw error;
    return { state, message: error instanceof Error ? error.message : "" };
  }
}
