import { z } from "zod";
import type { Config } from "../../connector.ts";

interface Defined {
  readonly name: string;
  readonly config: Config;
}

/** By what a definition does wrong, whatever it defines: the case that catches it, and how it is broken. */
export const misdefined: Readonly<
  Record<
    string,
    { readonly by: string; readonly wrong: Partial<Defined> | ((config: z.ZodObject) => Config) }
  >
> = {
  "has a name in capitals": {
    by: "has a kebab-case name, a semantic version and a summary",
    wrong: { name: "LOUD" },
  },
  "leaves an option undescribed": {
    by: "describes every option",
    wrong: (config) => config.extend({ mute: z.string().optional() }),
  },
  "wants what no config has": {
    by: "accepts a good config",
    wrong: (config) => config.extend({ more: z.string().describe("More.") }),
  },
  "takes options that it does not have": {
    by: "refuses an unknown option",
    wrong: (config) => config.loose(),
  },
  "does without what it requires": {
    by: "refuses a config that lacks what it requires",
    wrong: (config) =>
      config.extend({ more: z.preprocess((given) => given ?? "", z.string()).describe("More.") }),
  },
  "takes anything for an option": {
    by: "refuses wrong values of every option",
    wrong: (config) => config.extend({ more: z.any().optional().describe("More.") }),
  },
};

/** A connector, and what is wrong with its definition. */
export function broken<T extends Defined>(connector: T, what: string | undefined): T {
  const { wrong } = misdefined[what ?? ""] ?? {};
  if (typeof wrong !== "function") return { ...connector, ...wrong };
  return { ...connector, config: wrong(connector.config as z.ZodObject) }; // as all of the table's are
}
