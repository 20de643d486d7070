import type { LiquidError } from "liquidjs";
import { ConfigError, type PoisonError, type RecordUpserted } from "sluice";
import { canonical, TooMuch } from "./canonical.ts";
import { drive } from "./drive.ts";
import { memoryLimit, openEngine } from "./engine.ts";
import { examine, placeOf, type Examined, type TemplateProblem } from "./examine.ts";
import type { Fields } from "./fields.ts";
import { failed, missingInside } from "./problems.ts";
import type { Text } from "./text.ts";

/** `{{ title }} {{ body }}` takes 45, in 3 microseconds. */
const maxSteps = 2_000_000;
const tooMuch = `it makes more than ${memoryLimit} characters and list items`;

/** The text that a Liquid template makes of a record. `isStrict`: what it asks for must be there. */
export function templateText(source: string, { isStrict }: { readonly isStrict: boolean }): Text {
  const { liquid, library } = openEngine();
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
      const context = new library.Context(
        scopeOf(event, fields, examined),
        liquid.options,
        { sync: true, strictVariables: isStrict },
        { liquid },
      );
      try {
        const rendering = liquid.renderer.renderTemplates(templates, context);
        return String(await drive(rendering, { maxSteps, breathe }));
      } catch (error) {
        if (!library.LiquidError.is(error)) throw error;
        throw asPoison(error, event);
      }
    },
  };
}

/** In one line. */
export function problemText({ line, column, message }: TemplateProblem): string {
  return `line ${line}, column ${column}: ${message}`;
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
