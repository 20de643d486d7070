import type { SourceContext } from "sluice";
import { prefixesOf } from "./select.ts";

const messages = {
  "name-not-utf8": "a name is not UTF-8: skipped",
  "folder-unreadable": "a folder cannot be listed: what was in it is kept",
  "file-unreadable": "a file cannot be read: what is known of it is kept",
  "file-too-large": "a file is larger than `maxBytes`: taken as absent",
} as const;

/** Tells of what is skipped, each thing once. */
export interface Problems {
  readonly tell: (problem: keyof typeof messages, path: string, fields?: object) => void;
  /** The file is fine again: if it fails later, that is news. */
  readonly forget: (path: string) => void;
}

export function problems({
  log,
  meter,
}: Pick<SourceContext<unknown, unknown>, "log" | "meter">): Problems {
  const told = new Map<string, keyof typeof messages>();
  return {
    tell: (problem, path, fields) => {
      if (told.get(path) === problem) return;
      // Where a folder cannot be listed, its files cannot be read: that is told already.
      if (prefixesOf(path).some((prefix) => told.get(prefix) === "folder-unreadable")) return;
      told.set(path, problem);
      meter("files_skipped", 1, { reason: problem });
      log.warn({ path, ...fields }, messages[problem]);
    },
    forget: (path) => void told.delete(path),
  };
}
