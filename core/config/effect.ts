import type { z } from "zod";
import { defOf } from "./schema-def.ts";

/**
 * What changing an option means for what is there already: `apply`, it holds from the next start on; `resync`, what is
 * there was made with the old one; `refuse`, what is there cannot be gone on with. `.meta({ change: "resync" })` says
 * it in a config schema; the default is `apply`.
 */
export type Effect = "apply" | "resync" | "refuse";

/** The effect of changing one of the config's own options. */
export function effectOf(schema: z.ZodType, key: string): Effect {
  for (let inner: z.ZodType | undefined = schema; inner; inner = innerOf(inner)) {
    const option = defOf(inner).shape?.[key];
    if (option) return markOf(option);
  }
  return "apply";
}

function markOf(option: z.ZodType): Effect {
  for (let inner: z.ZodType | undefined = option; inner; inner = innerOf(inner)) {
    const mark = inner.meta()?.["change"];
    if (mark === "resync" || mark === "refuse") return mark;
  }
  return "apply";
}

/** What a refinement, a default or a pipe is about. */
function innerOf(schema: z.ZodType): z.ZodType | undefined {
  const { innerType, in: before } = defOf(schema);
  return innerType ?? before;
}
