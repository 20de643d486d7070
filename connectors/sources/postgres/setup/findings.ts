import { RetryableError, type Finding } from "sluice";

/** Something that must be mended before anything runs; `sql` mends it. */
export function failed(code: string, message: string, sql?: string): Finding {
  return { severity: "error", code, message: `postgres: ${message}`, ...toRun(sql) };
}

/** Something that works, but not as well or as long as it should. */
export function warned(code: string, message: string, sql?: string): Finding {
  return { severity: "warning", code, message: `postgres: ${message}`, ...toRun(sql) };
}

/** Something that is as it should be. */
export function fine(code: string, message: string): Finding {
  return { severity: "ok", code, message: `postgres: ${message}` };
}

/** A finding whose remedy is no SQL. */
export function advised(finding: Finding, fix: string): Finding {
  return { ...finding, fix };
}

export const isError = ({ severity }: Finding): boolean => severity === "error";

function toRun(sql: string | undefined): { readonly fix?: string } {
  return sql === undefined ? {} : { fix: `Run: ${sql}` };
}

const maxTold = 5;

/**
 * Throws if one of the findings is an error: a RetryableError, for all of them can be mended in the
 * database, and then the source goes on by itself.
 */
export function stopAtErrors(findings: readonly Finding[]): void {
  const errors = findings.filter(isError);
  const [first] = errors;
  if (!first) return;
  const told = errors.slice(0, maxTold).map(({ message }) => message.replace(/^postgres: /, ""));
  const rest = errors.length - told.length;
  throw new RetryableError(
    `postgres: ${told.join(" ")}${rest > 0 ? ` And ${rest} more, which \`sluice check\` lists.` : ""}`,
    {
      code: first.code,
      reason: "refused",
      fix: errors
        .slice(0, maxTold)
        .flatMap(({ fix }) => fix ?? [])
        .join("\n"),
    },
  );
}
