import { z } from "sluice";

const ms = z.number().int().min(0).max(86_400_000);

/** When a write becomes visible. `paused`: never by itself; POST /_admin/release lets the next ones through. */
const delay = z.strictObject({
  mode: z.enum(["auto", "paused"]).default("auto"),
  indexDelayMs: ms.default(0),
  /** Up to this much is added, at random; writes of a namespace keep their order. */
  jitterMs: ms.default(0),
});

const rate = z.number().min(0).max(1e9);

/** A second's worth of each, by namespace or, where it says so, by index. */
export const rates = z.strictObject({
  query: rate.default(100),
  upsert: rate.default(100),
  upsertBytes: rate.default(50_000_000),
  update: rate.default(100),
  updateByFilter: rate.default(5),
  delete: rate.default(100),
  deleteIds: rate.default(5_000),
  deleteByFilter: rate.default(5),
  fetchOfIndex: rate.default(100),
  listOfIndex: rate.default(200),
  statsOfIndex: rate.default(100),
});

export const readKinds = ["query", "fetch", "fetch_by_metadata", "list", "stats"] as const;
export type ReadKind = (typeof readKinds)[number];

/** What a test may switch while the server runs: GET and PATCH /_admin/settings. */
export const settingsSchema = z.strictObject({
  ...delay.shape,
  /** Other delays for single namespaces, by `index/namespace`. */
  namespaces: z
    .record(z.string().regex(/^[^/]+\/./, "is not written index/namespace"), delay)
    .default({}),
  /** Kinds of reads that see every accepted write at once. */
  fresh: z.array(z.enum(readKinds)).default([]),
  /** How old the counts of describe_index_stats may be. */
  statsDelayMs: ms.default(0),
  lsnHeaders: z.enum(["observed", "python", "both", "writesOnly", "none"]).default("both"),
  /** Refuse an id that comes twice in one upsert, instead of keeping the last. */
  strictDuplicates: z.boolean().default(false),
  /** API versions to take; empty takes all. */
  versions: z.array(z.string()).default([]),
  int64AsString: z.boolean().default(false),
  /** How long a new index says that it is initializing. */
  initializingMs: ms.default(0),
  rateLimits: rates.nullable().default(null),
});

export type Settings = z.output<typeof settingsSchema>;
export type Delay = z.output<typeof delay>;

export const standardSettings: Settings = settingsSchema.parse({});

/** The delay of a namespace: its own, else the server's. */
export function delayOf(settings: Settings, index: string, namespace: string): Delay {
  return settings.namespaces[`${index}/${namespace}`] ?? settings;
}
