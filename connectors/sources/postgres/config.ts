import { z } from "sluice";

const identifier = z
  .string()
  .min(1)
  .refine((name) => Buffer.byteLength(name) <= 63, "must be at most 63 bytes long");

const table = z.strictObject({
  name: z
    .string()
    .min(1)
    .describe(
      "Table as `schema.table`; `*` stands for any characters of one part, e.g. `shop.*`. Without a dot: schema `public`.",
    ),
  columns: z
    .array(identifier)
    .min(1)
    .optional()
    .describe("Columns to read; key columns always come along. Default: all."),
  where: z
    .string()
    .min(1)
    .optional()
    .describe(
      "Row filter, an SQL condition as in `CREATE PUBLICATION … WHERE (…)`: needs Postgres 15. A row that leaves it is deleted.",
    ),
  key: z
    .array(identifier)
    .min(1)
    .optional()
    .describe("Columns that identify a record. Default: the primary key, else the identity index."),
  insertOnly: z
    .boolean()
    .default(false)
    .describe("For a table without a key that only grows: every row is a record of its own."),
});

export const config = z.strictObject({
  url: z
    .string()
    .regex(/^postgres(ql)?:\/\//, "a URL that starts with postgres:// or postgresql://")
    .meta({ secret: true })
    .describe(
      "Connection URL of the database, direct and not through a transaction pooler; `?sslmode=verify-full` for TLS.",
    ),
  ca: z
    .string()
    .min(1)
    .meta({ path: true })
    .optional()
    .describe("PEM file of the authority that signed the server's certificate."),
  tables: z
    .array(z.union([z.string().min(1), table]))
    .min(1)
    .describe("Tables to capture: `schema.table`, `*` as wildcard, or an object with more to say."),
  snapshot: z
    .enum(["initial", "never", "only", "when-needed"])
    .default("initial")
    .describe(
      "`initial`: copy the tables, then follow. `never`: only follow. `only`: copy, then end. `when-needed`: like `initial`, and again when the position is lost.",
    ),
  setup: z
    .boolean()
    .default(true)
    .describe(
      "Create and keep up publication and slot. False: they must be there; `check` says how.",
    ),
  slot: z
    .string()
    .regex(/^[a-z0-9_]{1,63}$/, "must be 1 to 63 of a-z, 0-9 and _")
    .optional()
    .describe("Replication slot. Default: `sluice_` and the connector's name."),
  publication: identifier.optional().describe("Publication. Default: the slot's name."),
  failover: z
    .boolean()
    .default(false)
    .describe("Make a failover slot, which standbys keep up with; needs Postgres 17."),
  messages: z
    .array(z.string().min(1))
    .default([])
    .describe(
      "Prefixes of logical messages (`pg_logical_emit_message`, the outbox pattern) to emit as records.",
    ),
  chunkRows: z
    .number()
    .int()
    .min(10)
    .max(100_000)
    .default(5_000)
    .describe("Rows a snapshot reads at once."),
  parallelTables: z
    .number()
    .int()
    .min(1)
    .max(16)
    .default(2)
    .describe("Tables a snapshot copies at the same time, each on a connection of its own."),
  heartbeatMs: z
    .number()
    .int()
    .min(0)
    .max(3_600_000)
    .default(30_000)
    .describe(
      "Milliseconds without progress after which a logical message moves the slot on, so that an idle database frees its WAL. 0: never.",
    ),
  maxValueBytes: z
    .number()
    .int()
    .min(1_024)
    .max(64 * 2 ** 20)
    .default(8 * 2 ** 20)
    .describe(
      "Longest value of a column, bytes. A longer one is left out and named in `meta.oversized`.",
    ),
  statementTimeoutMs: z
    .number()
    .int()
    .min(0)
    .max(86_400_000)
    .default(300_000)
    .describe("Milliseconds a query may take, snapshot reads included. 0: any time."),
  onSchemaChange: z
    .enum(["warn", "resnapshot"])
    .default("warn")
    .describe("What to do when a rewritten column's new values did not come with the stream."),
  onTableDropped: z
    .enum(["keep", "remove"])
    .default("keep")
    .describe("What becomes of the records of a table that is gone."),
});

export type Options = z.output<typeof config>;
/** One entry of `tables`, in full. */
export type TableOptions = z.output<typeof table>;

/** Every entry of `tables` in its long form. */
export function tableOptions(tables: Options["tables"]): readonly TableOptions[] {
  return tables.map((entry) => (typeof entry === "string" ? table.parse({ name: entry }) : entry));
}
