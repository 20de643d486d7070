import type { Json, RecordUpserted } from "sluice";
import type { Breathe } from "../../_shared/text/breathe.ts";
import { canonicalText, isList } from "../../_shared/liquid/canonical.ts";
import type { Fields } from "./fields.ts";
import { missingInside } from "./problems.ts";

/** How a record's text is made. */
export interface Text {
  /** Fields that a record must have. */
  readonly required: ReadonlySet<string>;
  /** Fields whose value may be in the text. */
  readonly read: ReadonlySet<string> | "all";
  readonly of: (
    event: RecordUpserted,
    fields: Fields,
    breathe: Breathe,
  ) => string | Promise<string>;
}

interface Options {
  /** Begin each paragraph with the field's name. */
  readonly labels: boolean;
  /** What is asked for must be there. */
  readonly isStrict: boolean;
}

/** Some fields, a paragraph each, in the order given. */
export function fieldsText(paths: readonly string[], { labels, isStrict }: Options): Text {
  const wanted = paths.map((path) => ({ path, names: path.split(".") }));
  const first = new Set(wanted.map(({ names: [name = ""] }) => name));
  return {
    required: first,
    read: first,
    of: (event, fields) =>
      paragraphs(
        labels,
        wanted.map(({ path, names }) => {
          const value = fields.at(names);
          if (value === undefined && isStrict) throw missingInside(event, path);
          return [path, value ?? null];
        }),
      ),
  };
}

/** Every field that holds text, a paragraph each, by name. */
export function allText({ labels }: Options): Text {
  return {
    required: new Set(),
    read: "all",
    of: ({ data: { after } }) =>
      paragraphs(
        labels,
        Object.keys(after)
          .toSorted()
          .flatMap((name) => {
            const value = after[name];
            return typeof value === "string" ? [[name, value] as const] : [];
          }),
      ),
  };
}

function paragraphs(labels: boolean, values: readonly (readonly [string, Json])[]): string {
  return values
    .map(([name, value]) => [name, wordsOf(value)] as const)
    .filter(([, words]) => /\S/.test(words))
    .map(([name, words]) => (labels ? `${name}: ${words}` : words))
    .join("\n\n");
}

function wordsOf(value: Json): string {
  if (value === null) return "";
  if (typeof value !== "object") return String(value);
  if (isList(value) && value.every((item) => typeof item !== "object"))
    return value.map(String).join(", ");
  return canonicalText(value);
}
