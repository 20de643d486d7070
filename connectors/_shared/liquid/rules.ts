import type { Template } from "liquidjs";
import { formatProblem } from "./date.ts";
import type { Engine } from "./engine.ts";

/** A loop over more than that would not end within its steps. */
const maxRange = 10_000;

interface Problem {
  /** The tag or output it is in. */
  readonly at: Template;
  readonly message: string;
}

/** What the engine would only find, or never come to an end with, when it renders. */
export function problemsIn(templates: readonly Template[], engine: Engine): readonly Problem[] {
  return partsOf(templates, engine).flatMap((at) =>
    [...(at.arguments?.() ?? [])]
      .flatMap((value) => tokensOf(value, engine))
      .flatMap((token) => problemWith(token, engine) ?? [])
      .map((message) => ({ at, message })),
  );
}

/** Fields that a loop runs over as they are. */
export function loopedOver(templates: readonly Template[], engine: Engine): readonly string[] {
  const { isPropertyAccessToken } = engine.library.TypeGuards;
  return partsOf(templates, engine)
    .filter((part) => part.blockScope !== undefined)
    .flatMap((loop) => {
      const [collection] = loop.arguments?.() ?? [];
      if (!isPropertyAccessToken(collection) || collection.props.length > 1) return [];
      const [name] = collection.props;
      return name && "content" in name ? [String(name.content)] : [];
    });
}

/** Every tag, output and text, those inside of others too. */
function partsOf(templates: readonly Template[], engine: Engine): readonly Template[] {
  return templates.flatMap((template) => {
    const children = template.children?.(false, true);
    const inner = children ? engine.library.toValueSync<Template[]>(children) : [];
    return [template, ...partsOf(inner, engine)];
  });
}

/** A value and every value that it is made of. */
function tokensOf(token: unknown, engine: Engine): readonly unknown[] {
  const { isPropertyAccessToken } = engine.library.TypeGuards;
  const inner = isPropertyAccessToken(token)
    ? [token.variable, ...token.props]
    : isExpression(token)
      ? [...token.initial.postfix, ...token.filters.flatMap(argumentsOf)]
      : [];
  return [token, ...inner.flatMap((one) => tokensOf(one, engine))];
}

function problemWith(token: unknown, { library }: Engine): string | undefined {
  const { isRangeToken, isPropertyAccessToken, isQuotedToken, isNumberToken } = library.TypeGuards;
  if (isRangeToken(token)) {
    const isBound = (bound: unknown) => isNumberToken(bound) && Math.abs(bound.content) <= maxRange;
    return isBound(token.lhs) && isBound(token.rhs)
      ? undefined
      : `the bounds of ${token.getText()} must be numbers up to ${maxRange}`;
  }
  if (isPropertyAccessToken(token)) {
    if (token.variable !== undefined) return `${token.getText()} looks into what is no field`;
    if (isPropertyAccessToken(token.props[0]))
      return `${token.getText()} chooses a field by a value: name the field`;
  }
  if (!isExpression(token)) return undefined;
  for (const { name, args } of token.filters) {
    if (name !== "date") continue;
    const [input] = token.initial.postfix;
    if (isQuotedToken(input) && /^(now|today)$/.test(input.content))
      return `"${input.content}" is the clock's, and the same record must give the same text`;
    if (args.length > 1) return "date takes a format and no zone: it is in UTC";
    const [format] = args;
    const problem = isQuotedToken(format) ? formatProblem(format.content) : undefined;
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** What `liquidjs` calls `Value` and `FilteredValueToken`. */
interface Expression {
  readonly initial: { readonly postfix: readonly unknown[] };
  readonly filters: readonly { readonly name: string; readonly args: readonly unknown[] }[];
}

function isExpression(token: unknown): token is Expression {
  return token !== null && typeof token === "object" && "initial" in token && "filters" in token;
}

/** A named argument is a pair. */
function argumentsOf({ args }: Expression["filters"][number]): readonly unknown[] {
  return args.map((argument: unknown) =>
    Array.isArray(argument) ? (argument[1] as unknown) : argument,
  );
}
