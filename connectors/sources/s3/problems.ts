import type { SourceContext } from "sluice";

const messages = {
  denied: "access to an object is denied: what is known of it is kept",
  archived: "an object is archived and must be restored to be read: what is known of it is kept",
  unreadable: "an object cannot be read: what is known of it is kept",
  "too-large": "an object is larger than `maxBytes`: taken as absent",
} as const;

export type Problem = keyof typeof messages;

/** Tells of what is skipped: each object once, as long as it is one of the last ten thousand. */
export interface Problems {
  readonly tell: (problem: Problem, key: string, fields?: object) => void;
  /** The object is fine again: if it fails later, that is news. */
  readonly forget: (key: string) => void;
}

const maxRemembered = 10_000;
/** Warnings of one kind; after these only the counter goes on. */
const maxWarnings = 100;

export function problems({
  log,
  meter,
}: Pick<SourceContext<unknown, unknown>, "log" | "meter">): Problems {
  const told = new Map<string, Problem>();
  const warnings = new Map<Problem, number>();
  return {
    tell: (problem, key, fields) => {
      if (told.get(key) === problem) return;
      told.set(key, problem);
      const [oldest] = told.keys();
      if (told.size > maxRemembered && oldest !== undefined) told.delete(oldest);
      meter("objects_skipped", 1, { reason: problem });
      const count = (warnings.get(problem) ?? 0) + 1;
      warnings.set(problem, count);
      if (count <= maxWarnings) log.warn({ key, ...fields }, messages[problem]);
      if (count === maxWarnings)
        log.warn(
          { reason: problem },
          "no more of these are told of one by one: see objects_skipped",
        );
    },
    forget: (key) => void told.delete(key),
  };
}
