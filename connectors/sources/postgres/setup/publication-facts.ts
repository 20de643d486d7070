import { z } from "sluice";
import type { Names } from "./names.ts";
import { rows } from "./rows.ts";
import type { Session } from "../session.ts";

const publication = z.object({
  name: z.string(),
  isForAllTables: z.boolean(),
  insert: z.boolean(),
  update: z.boolean(),
  delete: z.boolean(),
  truncate: z.boolean(),
  isViaRoot: z.boolean(),
  isOwned: z.boolean(),
  comment: z.string().nullable(),
});

const member = z.object({
  publication: z.string(),
  oid: z.number(),
  schema: z.string(),
  name: z.string(),
  /** Published ones; null before PostgreSQL 15, which knows no column lists. */
  columns: z.array(z.string()).nullable(),
  hasList: z.boolean(),
  filter: z.string().nullable(),
  /** Oid of what makes it one: another one once it was taken out and put in again. */
  membership: z.number(),
});

const direct = z.object({
  publication: z.string(),
  membership: z.number(),
  oid: z.number(),
  schema: z.string(),
  name: z.string(),
});

export type Member = z.output<typeof member>;
export type PublicationFacts = z.output<typeof publication> & {
  /** What its rows come under in the end: schemas and roots resolved. */
  readonly members: readonly Member[];
  /** The tables it was given one by one. */
  readonly direct: readonly z.output<typeof direct>[];
};

/** What setup writes on a publication that it made, so that only such a one is narrowed or dropped. */
export function mark(owner: string): string {
  return `made by sluice for ${owner}`;
}

/** Both publications of a source, as far as they exist. */
export async function readPublications(
  session: Pick<Session, "query" | "serverVersion">,
  names: Pick<Names, "publication" | "inserts">,
): Promise<{ readonly main?: PublicationFacts; readonly inserts?: PublicationFacts }> {
  const wanted = [[names.publication, names.inserts]];
  const found = await rows(session, publication, publications, wanted);
  if (found.length === 0) return {};
  const bySchema = session.serverVersion >= 150_000;
  const members = await rows(session, member, published(bySchema), wanted);
  const given = await rows(session, direct, directly, wanted);
  const named = (name: string) => {
    const facts = found.find((other) => other.name === name);
    const isOfIt = (one: { readonly publication: string }) => one.publication === name;
    return facts && { ...facts, members: members.filter(isOfIt), direct: given.filter(isOfIt) };
  };
  const main = named(names.publication);
  const inserts = named(names.inserts);
  return { ...(main && { main }), ...(inserts && { inserts }) };
}

const publications = `
  SELECT pubname AS name, puballtables AS "isForAllTables", pubinsert AS insert,
    pubupdate AS update, pubdelete AS delete, pubtruncate AS truncate, pubviaroot AS "isViaRoot",
    pg_has_role(pubowner, 'USAGE') AS "isOwned", obj_description(oid, 'pg_publication') AS comment
  FROM pg_publication WHERE pubname = ANY ($1)`;

// PostgreSQL 14 has neither attnames nor rowfilter.
const published = (bySchema: boolean) => `
  SELECT t.pubname AS publication, c.oid::int8 AS oid, t.schemaname AS schema, t.tablename AS name,
    to_jsonb(t) -> 'attnames' AS columns, to_jsonb(t) ->> 'rowfilter' AS filter,
    EXISTS (SELECT FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
      WHERE p.pubname = t.pubname AND r.prrelid = c.oid
        AND to_jsonb(r) ->> 'prattrs' IS NOT NULL) AS "hasList",
    coalesce(
      (SELECT r.oid FROM pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = c.oid),
      ${bySchema ? "(SELECT s.oid FROM pg_publication_namespace s WHERE s.pnpubid = p.oid AND s.pnnspid = n.oid)," : ""}
      p.oid)::int8 AS membership
  FROM pg_publication_tables t JOIN pg_publication p ON p.pubname = t.pubname
  JOIN pg_namespace n ON n.nspname = t.schemaname
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
  WHERE t.pubname = ANY ($1) ORDER BY t.schemaname, t.tablename`;

const directly = `
  SELECT p.pubname AS publication, r.oid::int8 AS membership, c.oid::int8 AS oid,
    n.nspname AS schema, c.relname AS name
  FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
  JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE p.pubname = ANY ($1) ORDER BY n.nspname, c.relname`;
