import { SluiceError, defineSource, z } from "sluice";
import { follow } from "./follow.ts";
import { openFolder } from "./folder.ts";
import { openMemory } from "./memory.ts";

const config = z.strictObject({
  path: z.string().min(1).meta({ path: true }).describe("Folder to read, or one file."),
  include: z
    .array(z.string().min(1))
    .min(1)
    .default(["**"])
    .describe("Glob patterns of the files wanted, matched against the path inside the folder."),
  exclude: z
    .array(z.string().min(1))
    .default(["**/.*", "**/node_modules"])
    .describe("Glob patterns of files and folders left out, a folder with all that is in it."),
  maxBytes: z
    .number()
    .int()
    .min(1)
    .max(64 * 2 ** 20)
    .default(5_000_000)
    .describe("Largest file read, bytes; a larger one is taken as absent, with a warning."),
  followSymlinks: z
    .boolean()
    .default(false)
    .describe("Follow symbolic links that stay inside the folder. Others are never followed."),
  settleMs: z
    .number()
    .int()
    .min(60)
    .max(60_000)
    .default(100)
    .describe("Milliseconds a file must be quiet before it is read."),
  rescanMs: z
    .number()
    .int()
    .min(1_000)
    .max(86_400_000)
    .default(60_000)
    .describe("Milliseconds between full scans, which find what the system did not tell."),
  polling: z
    .boolean()
    .default(false)
    .describe("Look for changes every 500 ms instead of being told; for network file systems."),
});

const checkpoint = z.object({
  /** Device and inode of the folder. */
  root: z.string(),
  /** `path` names one file. */
  single: z.boolean(),
  /** A snapshot that is not finished. */
  snapshot: z
    .object({
      below: z.string(),
      audience: z.string().optional(),
      /** Id of the request it answers. */
      request: z.string().optional(),
    })
    .optional(),
});

export type Options = z.output<typeof config>;
export type Checkpoint = z.output<typeof checkpoint>;

/**
 * Emits an event for every file of a folder that appears, changes or goes, after a first read of all.
 * The subject is the file's path inside the folder, with `/`, its characters as they are on disk (not
 * normalised: two names that only look alike are two files).
 *
 * What an event says decides: content, and when it was modified. Other rights or another inode emit
 * nothing. While the folder itself is away
 * (an unmounted disk) nothing is deleted: the source holds until it is back.
 */
export const file = defineSource({
  name: "file",
  version: "1.0.0",
  summary: "Files of a folder, watched.",
  config,
  checkpoint,
  emits: ["dev.sluice.record.", "dev.sluice.collection.cleared"],
  capabilities: { deletes: true, snapshotOnRequest: true, replays: true, forgets: false },
  check: async ({ config: options }) => {
    try {
      const { root } = await openFolder(options, undefined);
      return [{ severity: "ok", code: "file.path", message: `file: "${root}" is there.` }];
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      const { code, message, fix } = error;
      return [{ severity: "error", code, message, ...(fix !== undefined && { fix }) }];
    }
  },
  async *read(context) {
    const folder = await openFolder(context.config, context.checkpoint);
    const memory = await openMemory(context.state);
    yield* follow(context, folder, memory);
  },
});
