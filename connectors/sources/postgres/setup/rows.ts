import type { z } from "sluice";
import type { Session } from "../session.ts";

/** The rows of a query as objects by column name, checked. 64-bit numbers beyond 2^53 must be read as text. */
export async function rows<T extends z.ZodType>(
  session: Pick<Session, "query">,
  row: T,
  sql: string,
  parameters: Parameters<Session["query"]>[1] = [],
): Promise<readonly z.output<T>[]> {
  const found = await session.query(`SELECT row_to_json(found) FROM (${sql}) AS found`, parameters);
  return found.map(([json]) => row.parse(JSON.parse(json ?? "null")));
}
