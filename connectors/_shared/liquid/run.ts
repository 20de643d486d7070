import type { Template } from "liquidjs";
import type { Breathe } from "../text/breathe.ts";
import { drive } from "./drive.ts";
import { openEngine } from "./engine.ts";

/** `{{ title }} {{ body }}` takes 45, in 3 microseconds. */
const maxSteps = 2_000_000;

/** The text that parsed templates make of `scope`. `isStrict`: what they ask for must be there. Throws what the engine throws. */
export async function runTemplate(
  templates: Template[],
  scope: object,
  { isStrict, breathe }: { readonly isStrict: boolean; readonly breathe: Breathe },
): Promise<string> {
  const { liquid, library } = openEngine();
  const how = { sync: true, strictVariables: isStrict };
  const context = new library.Context(scope, liquid.options, how, { liquid });
  return String(
    await drive(liquid.renderer.renderTemplates(templates, context), { maxSteps, breathe }),
  );
}
