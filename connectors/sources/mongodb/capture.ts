import type { Document } from "mongodb";
import type { Namespace } from "./change.ts";
import type { Options } from "./config.ts";

/** Which collections are captured, and where a change stream that sees them is opened. */
export interface Capture {
  readonly level: "collection" | "database" | "deployment";
  /** The database of the stream; `admin` for a deployment. */
  readonly database: string;
  /** What an `aggregate` runs on: the collection's name, or 1. */
  readonly target: string | 1;
  readonly includes: (namespace: Namespace) => boolean;
  /** Databases to look for collections in; undefined: all there are. */
  readonly databases: readonly string[] | undefined;
  /** Collections named without a wildcard. */
  readonly named: readonly Namespace[];
  /** A `$match` that the server applies to change events; undefined: everything is wanted. */
  readonly match: Document | undefined;
}

/** Never captured, and the server shows no changes of them. */
const ownDatabases = new Set(["admin", "config", "local"]);

export function captureOf(options: Pick<Options, "collections" | "scope">): Capture {
  const patterns = options.collections.map(patternOf);
  const databases = new Set(patterns.map(({ database }) => database));
  const [only = ""] = databases;
  const isOneDatabase = databases.size === 1 && !isWild(only);
  const level =
    options.scope === "auto" ? (isOneDatabase ? "database" : "deployment") : options.scope;
  const tests = patterns.map(({ database, collection }) => {
    const [inDatabase, inCollection] = [tester(database), tester(collection)];
    return (one: Namespace) => inDatabase(one.database) && inCollection(one.collection);
  });
  const named = patterns.filter((one) => !isWild(one.database) && !isWild(one.collection));
  return {
    level,
    database: level === "deployment" ? "admin" : only,
    target: level === "collection" ? (patterns[0]?.collection ?? 1) : 1,
    databases: patterns.some(({ database }) => isWild(database)) ? undefined : [...databases],
    named,
    includes: (one) => isOrdinary(one) && tests.some((test) => test(one)),
    match: matchOf(patterns),
  };
}

/** `database.collection`; a collection's name may have dots of its own, a database's has none. */
export function patternOf(text: string): Namespace {
  const dot = text.indexOf(".");
  return { database: text.slice(0, dot), collection: text.slice(dot + 1) };
}

/** Whether a name or pattern, as the config writes them, can be of something captured. */
export function isCaptured({ includes }: Capture, text: string): boolean {
  return text.includes(".") && (isWild(text) || includes(patternOf(text)));
}

export function nameOf({ database, collection }: Namespace): string {
  return `${database}.${collection}`;
}

/** The `source` of a collection's events. Connectors of other deployments have other names. */
export function sourceOf(connector: string, namespace: Namespace): string {
  return `/mongodb/${encodeURIComponent(connector)}/${encodeURIComponent(nameOf(namespace))}`;
}

/** Which collection has no change stream for us, if any is named. */
export function problemOfNames(collections: readonly string[]): string | undefined {
  const wrong = collections.find((text) => {
    const { database, collection } = patternOf(text);
    return ownDatabases.has(database) || collection.startsWith("system.");
  });
  return wrong === undefined
    ? undefined
    : `"${wrong}" is the server's own, and never captured (admin, config, local, system.*)`;
}

/** What is wrong with the choice of `scope`, if anything. */
export function problemOfScope({
  collections,
  scope,
}: Pick<Options, "collections" | "scope">): string | undefined {
  const patterns = collections.map(patternOf);
  const databases = new Set(patterns.map(({ database }) => database));
  const isWildDatabase = [...databases].some(isWild);
  if (scope === "collection" && (collections.length > 1 || collections.join().includes("*")))
    return "`collection` watches one: name exactly one, without `*`";
  if (scope === "database" && (databases.size > 1 || isWildDatabase))
    return "`database` watches one: all of `collections` must be of the same, without `*`";
  return undefined;
}

function isWild(text: string): boolean {
  return text.includes("*");
}

function isOrdinary({ database, collection }: Namespace): boolean {
  return !ownDatabases.has(database) && collection !== "" && !collection.startsWith("system.");
}

function tester(pattern: string): (text: string) => boolean {
  if (!isWild(pattern)) return (text) => text === pattern;
  const expression = new RegExp(expressionOf(pattern), "s");
  return (text) => expression.test(text);
}

function expressionOf(pattern: string): string {
  const parts = pattern.split("*").map((part) => part.replaceAll(/[\\^$.|?*+()[\]{}]/g, "\\$&"));
  return `^${parts.join(".*")}$`;
}

/** A rename concerns the old name and the new one. */
function matchOf(patterns: readonly Namespace[]): Document | undefined {
  if (patterns.some(({ database, collection }) => database === "*" && collection === "*"))
    return undefined;
  const exact = patterns.filter((one) => !isWild(nameOf(one)));
  const names = exact.map(({ database: db, collection: coll }) => ({ db, coll }));
  const branches = ["ns", "to"].flatMap((field) => [
    ...(names.length > 0 ? [{ [field]: { $in: names } }] : []),
    ...patterns
      .filter((one) => !exact.includes(one))
      .map(({ database, collection }) => ({
        [`${field}.db`]: condition(database),
        [`${field}.coll`]: condition(collection),
      })),
  ]);
  return { $or: branches };
}

function condition(pattern: string): unknown {
  if (!isWild(pattern)) return pattern;
  return pattern === "*" ? { $exists: true } : { $regex: expressionOf(pattern), $options: "s" };
}
