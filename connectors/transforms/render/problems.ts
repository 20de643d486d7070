import { PoisonError, type RecordUpserted } from "sluice";

/** A field that the config names and the record lacks. */
export function missing(event: RecordUpserted, names: readonly string[]): PoisonError {
  const present = Object.keys(event.data.after).toSorted();
  const more = present.length > 20 ? ` and ${present.length - 20} more` : "";
  const others = present.length > 0 ? `it has ${list(present.slice(0, 20))}${more}` : "it has none";
  return new PoisonError(`render: ${nameOf(event)} has no field ${list(names)}; ${others}.`, {
    code: "render.missing-field",
    fix: 'Correct the name, or set "missing": "empty" where records may lack it.',
  });
}

/** Something inside of a field, wanted at a place in the template. */
export function missingInside(event: RecordUpserted, path: string, place?: string): PoisonError {
  return new PoisonError(
    `render: ${nameOf(event)} has no ${path}${place ? `, wanted at ${place}` : ""}.`,
    {
      code: "render.missing-field",
      fix: place
        ? `Correct the name, ask for it in an \`if\`, or write {{ ${path} | default: "" }}.`
        : 'Correct the path, or set "missing": "empty" where records may lack it.',
    },
  );
}

/** A value that the source left out because of its size. */
export function oversized(event: RecordUpserted, names: readonly string[]): PoisonError {
  return new PoisonError(
    `render: ${list(names)} of ${nameOf(event)} is longer than the source reads, and was left out.`,
    {
      code: "render.oversized",
      fix: "Shorten the value, raise the source's limit (maxValueBytes), or do without the field.",
    },
  );
}

/** A record that cannot be rendered. */
export function failed(event: RecordUpserted, cause: unknown, place?: string): PoisonError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new PoisonError(
    `render: ${nameOf(event)} cannot be rendered: ${reason}${place ? `, at ${place}` : ""}.`,
    {
      code: "render.failed",
      fix: "Mend the record, or ask less of it: `limit` in loops, `truncate` for long texts.",
      cause,
    },
  );
}

function nameOf({ subject, source }: RecordUpserted): string {
  return `record ${subject} of ${source}`;
}

function list(names: readonly string[]): string {
  return names.map((name) => JSON.stringify(name)).join(", ");
}
