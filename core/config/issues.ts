import type { z } from "zod";
import { toJsonPath, valueAt, type Path } from "./json-path.ts";
import { redact } from "./marks.ts";
import { nearest } from "./nearest.ts";
import { describedAt, keysAt, leavesAt } from "./schema-at.ts";
import { show, shownAt } from "./show.ts";

/** One thing wrong with a value, to be placed in its file. */
export interface Problem {
  readonly path: Path;
  readonly code: string;
  readonly message: string;
  readonly fix: string;
}

type Issue = z.core.$ZodIssue;

/**
 * What a schema refuses about a value, each with the value and the fix. `written` is the value as it
 * stands in the file, so that nothing an environment variable holds is ever shown.
 */
export function problemsOf(
  error: z.ZodError,
  { schema, written }: { readonly schema: z.ZodType; readonly written: unknown },
): readonly Problem[] {
  const shown = redact(schema, written);
  return error.issues
    .flatMap((issue) => flat(issue))
    .flatMap((issue): Problem | Problem[] => {
      const path = issue.path;
      if (issue.code === "unrecognized_keys") {
        const known = keysAt(schema, written, path);
        return issue.keys.map((key) => unknownKey(key, path, known));
      }
      const value = valueAt(shown, path);
      const about = describedAt(schema, written, path);
      if (value === undefined && issue.code !== "custom") return missing(path, about);
      const seen = shownAt(leavesAt(schema, written, path), value);
      return { path, ...explain(issue, toJsonPath(path) || "the value", value, seen, about) };
    });
}

/** Unions and record keys wrap the issue that matters. */
function flat(issue: Issue, base: Path = []): readonly Issue[] {
  const path = [...base, ...issue.path];
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    // The option whose type fits and whose content does not is the one that was meant.
    const meant = issue.errors.find((errors) => errors.every((inner) => inner.path.length > 0));
    if (meant) return meant.flatMap((inner) => flat(inner, path));
  }
  if (issue.code === "invalid_key") return issue.issues.flatMap((inner) => flat(inner, path));
  return [{ ...issue, path }];
}

function unknownKey(key: string, path: Path, known: readonly string[]): Problem {
  const close = nearest(key, known);
  const place = toJsonPath(path);
  return {
    path: [...path, key],
    code: "config.unknown-key",
    message: `${show(key)} is no key ${place ? `of ${place}` : "here"}.`,
    fix: close
      ? `Rename it to ${show(close)}.`
      : `Remove it${known.length > 0 ? `; the keys are ${known.join(", ")}` : ""}.`,
  };
}

function missing(path: Path, about: string | undefined): Problem {
  return {
    path,
    code: "config.missing",
    message: `${toJsonPath(path)} is missing.`,
    fix: `Add ${show(path.at(-1))}${about ? `: ${about}` : "."}`,
  };
}

function explain(
  issue: Issue,
  key: string,
  value: unknown,
  seen: string,
  about: string | undefined,
): Omit<Problem, "path"> {
  const wrong = (wanted: string, code = "config.wrong-value") => ({
    code,
    message: `${key} is ${seen}; it must be ${wanted}.`,
    fix: `Write ${wanted}${about ? `: ${about}` : "."}`,
  });
  switch (issue.code) {
    case "invalid_type":
      return wrong(nounOf(issue.expected), "config.wrong-type");
    case "invalid_value": {
      const values = issue.values.map((option) => String(option));
      const close = typeof value === "string" ? nearest(value, values) : undefined;
      const { code, message } = wrong(oneOf(values));
      return { code, message, fix: `Write ${close ? show(close) : oneOf(values)}.` };
    }
    case "too_small":
      return wrong(`${sizeOf(issue.origin)} ${issue.minimum} or more`.trim());
    case "too_big":
      return wrong(`${sizeOf(issue.origin)} ${issue.maximum} or less`.trim());
    case "not_multiple_of":
      return wrong(`a multiple of ${issue.divisor}`);
    case "invalid_format":
      return wrong(
        issue.format === "url"
          ? "a URL"
          : issue.format !== "regex"
            ? `${/^[aeiou]/.test(issue.format) ? "an" : "a"} ${issue.format}`
            : issue.message.startsWith("Invalid string")
              ? `text that matches ${issue.pattern}`
              : issue.message,
      );
    case "invalid_union": {
      const types = issue.errors.flatMap(([first]) =>
        first?.code === "invalid_type" ? nounOf(first.expected) : [],
      );
      if (types.length > 0) return wrong([...new Set(types)].join(" or "), "config.wrong-type");
      const { options } = issue as { readonly options?: readonly unknown[] };
      return wrong(options ? oneOf(options.map(String)) : "one of the forms the schema allows");
    }
    case "custom":
      return {
        code: "config.wrong-value",
        message: `${issue.path.length > 0 ? `${key}: ` : ""}${issue.message.replace(/\.$/, "")}.`,
        fix: about ? `Correct it: ${about}` : "Correct it.",
      };
    case "invalid_key":
    case "invalid_element":
    case "unrecognized_keys":
      return wrong("what the schema allows");
  }
}

function nounOf(type: string): string {
  const nouns: Readonly<Record<string, string>> = {
    int: "a whole number",
    string: "a text",
    object: "an object",
    record: "an object",
    array: "a list",
    boolean: "true or false",
  };
  return nouns[type] ?? `a ${type}`;
}

function oneOf(values: readonly string[]): string {
  const texts = values.map(show);
  return texts.length > 1
    ? `${texts.slice(0, -1).join(", ")} or ${texts.at(-1) ?? ""}`
    : (texts[0] ?? "");
}

function sizeOf(origin: string): string {
  switch (origin) {
    case "string":
      return "a text whose length is";
    case "array":
    case "set":
      return "a list whose length is";
    default:
      return "";
  }
}
