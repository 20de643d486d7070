import { createHash } from "node:crypto";
import { z } from "sluice";
import type { Capture } from "./capture.ts";
import type { Options } from "./config.ts";
import type { Deployment } from "./deployment.ts";
import { position } from "./position.ts";

const range = z.strictObject({
  /** Keys as BSON in base64, see `encodeKey`. */
  from: z.string().optional(),
  after: z.string().optional(),
  until: z.string().optional(),
});

const pass = z.strictObject({
  id: z.string(),
  /** Patterns, as in the config. All that are captured when absent. */
  collections: z.array(z.string()).optional(),
  audience: z.string().optional(),
  /** Cluster time when it began: what nobody has told of since is gone in the end. Absent: it has not begun. */
  since: z.string().optional(),
  /** Counts the passes of this connector: at one cluster time a later one is above an earlier one. */
  number: z.number().int().optional(),
  /** The collections up to this name are done. */
  after: z.string().optional(),
  /** The one that is being read, and what is left of it. */
  current: z.strictObject({ name: z.string(), ranges: z.array(range) }).optional(),
  done: z.number(),
  total: z.number(),
});

export const checkpoint = z.strictObject({
  /** What the position belongs to: the server takes one from anywhere, silently. */
  bound: z.strictObject({
    deployment: z.string(),
    id: z.string().optional(),
    /** Hash of all that decides which events there are and what is in them. */
    shape: z.string(),
    /** `snapshot: "never"`: what was there before is not copied, until the config says otherwise. */
    passedOver: z.literal(true).optional(),
  }),
  position,
  /** Reads of whole collections that are under way or wait; the first one runs. */
  passes: z.array(pass),
});

export type Checkpoint = z.output<typeof checkpoint>;
export type Bound = Checkpoint["bound"];
export type Pass = z.output<typeof pass>;
export type StoredRange = z.output<typeof range>;

export function boundOf(deployment: Deployment, capture: Capture, options: Options): Bound {
  const { collections, filter, projection, pipeline, json } = options;
  const shape = [1, capture.level, collections.toSorted(), filter, projection, pipeline, json];
  const hash = createHash("sha256").update(JSON.stringify(shape)).digest("hex").slice(0, 16);
  const { name, id } = deployment;
  return { deployment: name, ...(id !== undefined && { id }), shape: hash };
}

/** Why a position of the one is none of the other; undefined where it is. */
export function foreign(stored: Bound, now: Bound): string | undefined {
  if (stored.deployment !== now.deployment)
    return `it is of "${stored.deployment}", and this is "${now.deployment}"`;
  // Rights may have been given or taken: then there is nothing to compare.
  if (stored.id === undefined || now.id === undefined || stored.id === now.id) return undefined;
  return `"${now.deployment}" has the id ${now.id}, and the checkpoint's had ${stored.id}`;
}
