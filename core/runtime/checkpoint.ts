import type { Backend } from "../backend.ts";
import type { SourceConnector } from "../config/pipeline.ts";
import type { Log } from "../connector.ts";
import { ConfigError } from "../errors.ts";
import type { Json } from "../event.ts";
import { checkpointKey } from "./keys.ts";
import { openPermit } from "./permit.ts";
import { holdIdle } from "./who-runs.ts";

export interface StoredCheckpoint {
  readonly value: Json;
}

/** Where a source goes on, as it is stored. Undefined: it begins anew. */
export async function readCheckpoint(
  name: string,
  { state }: Backend,
): Promise<StoredCheckpoint | undefined> {
  const [entry] = await state.scope(name).state.get([checkpointKey]);
  return entry;
}

/**
 * Has a source go on from another checkpoint, or begin anew (`undefined`). Refuses while any process runs it
 * (`connector.running`), and what its schema does not take (`source.checkpoint-invalid`).
 */
export async function writeCheckpoint(
  { name, source }: SourceConnector,
  value: Json | undefined,
  backend: Backend,
  log: Log,
): Promise<void> {
  const parsed = value === undefined ? undefined : source.checkpoint.safeParse(value);
  if (parsed && !parsed.success)
    throw new ConfigError(
      `source "${name}": ${JSON.stringify(value)} is not a checkpoint of ${source.name}@${source.version}: ${parsed.error.issues.map(({ path, message }) => `${path.join(".") || "it"}: ${message}`).join("; ")}.`,
      {
        code: "source.checkpoint-invalid",
        fix: `Write one as \`sluice checkpoint show ${name}\` does.`,
      },
    );
  const lease = await holdIdle(name, backend, log);
  try {
    const { state } = backend.state.scope(name);
    const permit = await openPermit(state);
    await permit.write([{ key: checkpointKey, value: parsed?.data as Json | undefined }], lease); // a schema of JSON values
  } finally {
    await lease.release();
  }
}
