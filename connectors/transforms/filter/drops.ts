import type { Context, JsonObject } from "sluice";
import { has } from "./condition.ts";

/** So many events without a field make it likely that its path is wrong. */
const enough = 100;
const everyMs = 10_000;

/** Says how much is dropped, and which of the fields that decide it no event had. */
export function reportDrops({
  paths,
  log,
  meter,
}: Pick<Context<unknown>, "log" | "meter"> & { readonly paths: Iterable<string> }): {
  readonly sees: (fields: JsonObject) => void;
  readonly drops: (count: number) => void;
} {
  const missing = new Set(paths);
  let seen = 0;
  let dropped = 0;
  let saidAt = -Infinity;
  return {
    sees: (fields) => {
      if (seen >= enough) return;
      seen++;
      for (const path of missing) if (has(fields, path)) missing.delete(path);
      if (seen === enough && missing.size > 0)
        log.warn(
          {
            missing: [...missing],
            events: seen,
            fix: "Name fields of a record's row, or of a document's metadata, from their top: `lang`, not `metadata.lang`.",
          },
          "no event had a field that the filter asks for",
        );
    },
    drops: (count) => {
      if (count === 0) return;
      meter("filtered", count);
      dropped += count;
      if (performance.now() - saidAt < everyMs) return;
      log.info({ dropped, ...(missing.size > 0 && { missing: [...missing] }) }, "dropped");
      dropped = 0;
      saidAt = performance.now();
    },
  };
}
