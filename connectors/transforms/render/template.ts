import type { LiquidError } from "liquidjs";
import { ConfigError, type PoisonError, type RecordUpserted } from "sluice";
import { canonical, TooMuch } from "../../_shared/liquid/canonical.ts";
import { memoryLimit, openEngine } from "../../_shared/liquid/engine.ts";
import { examine, placeOf, problemText, type Examined } from "../../_shared/liquid/examine.ts";
import { runTemplate } from "../../_shared/liquid/run.ts";
import type { Fields } from "./fields.ts";
import { failed, missingInside } from "./problems.ts";
import type { Text } from "./text.ts";

const tooMuch = `it makes more than ${memoryLimit} characters and list items`;

/** The text that a Liquid template makes of a record. `isStrict`: what it asks for must be there. */
export function templateText(source: string, { isStrict }: { readonly isStrict: boolean }): Text {
  const examined = examine(source);
  if ("problems" in examined)
    throw new ConfigError(`render: ${examined.problems.map(problemText).join("; ")}.`, {
      code: "render.template",
      fix: "Correct the template.",
    });
  const { templates, required, read } = examined;
  return {
    required,
    read,
    of: async (event, fields, breathe) => {
      try {
        const scope = scopeOf(event, fields, examined);
        return await runTemplate(templates, scope, { isStrict, breathe });
      } catch (error) {
        if (!openEngine().library.LiquidError.is(error)) throw error;
        throw asPoison(error, event);
      }
    },
  };
}

/** The fields that the template was found to read and no others: nothing reaches a text unaccounted for. */
function scopeOf(event: RecordUpserted, fields: Fields, { read, opened }: Examined): object {
  const { after } = event.data;
  const scope = Object.create(null) as Record<string, unknown>;
  for (const name of read) {
    if (!Object.hasOwn(after, name)) continue;
    const value = after[name] ?? null;
    if (typeof value === "string") scope[name] = opened.has(name) ? inside(value, fields) : value;
    else scope[name] = typeof value === "object" ? canonical(value) : value;
  }
  return scope;
}

function inside(text: string, fields: Fields): unknown {
  const json = fields.opened(text);
  return json === undefined ? text : canonical(json, { printsAs: text });
}

function asPoison(error: LiquidError, event: RecordUpserted): PoisonError {
  const { line, column } = placeOf(error);
  const place = `line ${line}, column ${column}`;
  const cause: Error & { readonly variableName?: string } = error.originalError ?? error;
  if (cause.variableName !== undefined) return missingInside(event, cause.variableName, place);
  const isTooMuch = cause.message === "memory alloc limit exceeded";
  return failed(event, isTooMuch ? new TooMuch(tooMuch, { cause }) : cause, place);
}
