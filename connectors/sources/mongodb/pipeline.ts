import type { Document } from "mongodb";
import type { Namespace } from "./change.ts";
import type { Options } from "./config.ts";
import { pathsOf } from "./filter.ts";
import { includes } from "./projection.ts";

/** `lean` leaves out what makes an event large; `split` has a large one come in pieces. */
export type Mode = "normal" | "split" | "lean";

/** What every mode keeps of an event besides its documents. */
const essentials =
  "operationType clusterTime wallTime ns to documentKey lsid txnNumber splitEvent".split(" ");
const dataOperations = ["insert", "update", "replace", "delete"];
const documents = ["fullDocument", "fullDocumentBeforeChange"];

type Shaping = Pick<Options, "pipeline" | "projection" | "filter">;

/** The stages behind `$changeStream`. None changes `_id`, which is the resume token. */
export function stagesOf(
  options: Shaping,
  match: Document | undefined,
  mode: Mode,
): readonly Document[] {
  return [
    ...(match ? [{ $match: match }] : []),
    ...options.pipeline.map(sparing),
    ...(mode === "lean" ? [{ $project: keep(essentials) }] : [slimming(options)]),
    // The server wants it last.
    ...(mode === "split" ? [{ $changeStreamSplitLargeEvent: {} }] : []),
  ];
}

/** Stages that put documents of a collection through the user's pipeline, as if they were inserted now. */
export function asInserts(options: Shaping, { database, collection }: Namespace): Document[] {
  const event = {
    operationType: "insert",
    ns: { $literal: { db: database, coll: collection } },
    documentKey: { _id: "$_id" },
    fullDocument: "$$ROOT",
  };
  return [{ $replaceWith: event }, ...options.pipeline];
}

/** What is wrong with a user's stages, if anything: they must leave alone what the source lives by. */
export function problemOf(pipeline: Options["pipeline"]): string | undefined {
  for (const stage of pipeline) {
    const [name = "", ...others] = Object.keys(stage);
    const body = stage[name];
    if (others.length > 0) return "every stage has one name";
    switch (name) {
      case "$match":
        // A looked-up document changes: the server could not find the event again when it resumes.
        if (JSON.stringify(body).includes("fullDocument"))
          return "`$match` must not read `fullDocument`: use `filter`";
        break;
      case "$set":
      case "$addFields":
      case "$unset": {
        const paths = name === "$unset" ? [body].flat() : Object.keys(body ?? {});
        const wrong = paths.find((path) => typeof path !== "string" || !isInDocument(path));
        if (wrong !== undefined)
          return `\`${name}\` may change fields of \`fullDocument\` other than \`_id\`, not ${JSON.stringify(wrong)}`;
        break;
      }
      default:
        return `there is no \`${name}\` here: only $match, $set, $addFields and $unset`;
    }
  }
  return undefined;
}

function isInDocument(path: string): boolean {
  return path.startsWith("fullDocument.") && !/^fullDocument\._id(\.|$)/.test(path);
}

/** A drop or rename is always heard of, whatever the user matches. */
function sparing(stage: Document): Document {
  const { $match } = stage;
  if ($match === undefined) return stage;
  return { $match: { $or: [{ operationType: { $nin: dataOperations } }, $match] } };
}

/** The delta of an update is not used, nor is what the projection leaves out, unless the filter reads it. */
function slimming({ projection, filter = {} }: Shaping): Document {
  if (projection === undefined) return { $unset: "updateDescription" };
  const read = ["_id", ...pathsOf(filter)];
  const paths = Object.keys(projection);
  if (includes(projection)) {
    const wanted = withoutInner([...paths.filter((path) => projection[path]), ...read]);
    return { $project: keep([...essentials, ...under(wanted)]) };
  }
  const unread = paths.filter(
    (path) => !projection[path] && !read.some((one) => touches(one, path)),
  );
  return { $unset: ["updateDescription", ...under(unread)] };
}

function keep(names: readonly string[]): Document {
  return Object.fromEntries(names.map((name) => [name, 1]));
}

function under(paths: readonly string[]): readonly string[] {
  return documents.flatMap((document) => paths.map((path) => `${document}.${path}`));
}

/** The server refuses a path beside one that it lies in. */
function withoutInner(paths: readonly string[]): readonly string[] {
  const all = [...new Set(paths)];
  return all.filter((path) => !all.some((other) => path.startsWith(`${other}.`)));
}

function touches(a: string, b: string): boolean {
  return a === b || a.startsWith(`${b}.`) || b.startsWith(`${a}.`);
}
