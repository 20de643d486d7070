import type { StaticAnalysis, Template } from "liquidjs";
import { openEngine, refused, type Engine } from "./engine.ts";
import { loopedOver, problemsIn } from "./rules.ts";

/** One thing wrong with a template. */
export interface TemplateProblem {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** A parsed template and what it asks of a record. */
export interface Examined {
  readonly templates: Template[];
  /** Fields it reads and never assigns itself. */
  readonly required: ReadonlySet<string>;
  /** All fields that it may read. */
  readonly read: ReadonlySet<string>;
  /** Those it looks into: a JSON text is opened for it. */
  readonly opened: ReadonlySet<string>;
}

/** Parses a template and tells what is wrong with it. Nothing is rendered. */
export function examine(
  source: string,
): Examined | { readonly problems: readonly TemplateProblem[] } {
  const engine = openEngine();
  try {
    return examined(engine.liquid.parse(source), engine);
  } catch (error) {
    return { problems: [syntaxProblem(error, engine)] };
  }
}

function examined(templates: Template[], engine: Engine): ReturnType<typeof examine> {
  const problems = problemsIn(templates, engine);
  if (problems.length > 0)
    return { problems: problems.map(({ at, message }) => ({ ...placeOf(at), message })) };
  const analysis = engine.liquid.analyzeSync(templates, { partials: false });
  const required = Object.keys(analysis.globals);
  return {
    templates,
    required: new Set(required),
    read: new Set([...required, ...assigned(analysis)]),
    opened: new Set([...lookedInto(analysis), ...loopedOver(templates, engine)]),
  };
}

/** Names that the template gives a value, perhaps in a branch that is not taken: then they mean the field. */
function assigned({ locals, variables }: StaticAnalysis): readonly string[] {
  return Object.keys(locals).filter((name) => Object.hasOwn(variables, name));
}

function lookedInto({ variables }: StaticAnalysis): readonly string[] {
  return Object.keys(variables).filter((name) =>
    variables[name]?.some(({ segments }) => segments.length > 1 && segments[1] !== "size"),
  );
}

function syntaxProblem(error: unknown, { library }: Pick<Engine, "library">): TemplateProblem {
  if (error instanceof RangeError) return { line: 1, column: 1, message: "its tags nest too deep" };
  if (!library.LiquidError.is(error)) throw error;
  if (error.originalError instanceof RangeError)
    return syntaxProblem(error.originalError, { library });
  const said = error.message.replace(/, line:\d+, col:\d+$/, "");
  const filter = /^undefined filter: (.+)$/s.exec(said)?.[1];
  const tag = /^tag "(.+)" not found$/s.exec(said)?.[1];
  const message =
    (filter !== undefined && unknown("filter", filter, refused.filters)) ||
    (tag !== undefined && unknown("tag", tag, refused.tags)) ||
    said;
  return { ...placeOf(error), message };
}

function unknown(kind: string, name: string, reasons: ReadonlyMap<string, string>): string {
  const why = reasons.get(name);
  return why ? `the ${kind} "${name}" is refused: ${why}` : `there is no ${kind} "${name}"`;
}

/** In one line. */
export function problemText({ line, column, message }: TemplateProblem): string {
  return `line ${line}, column ${column}: ${message}`;
}

/** Where in the template a part of it is, or an error arose. */
export function placeOf(part: object): { readonly line: number; readonly column: number } {
  const { token } = part as { readonly token?: { readonly getPosition: () => number[] } };
  const [line = 1, column = 1] = token?.getPosition() ?? [];
  return { line, column };
}
