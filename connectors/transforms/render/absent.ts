import type { Log } from "sluice";
import type { Fields } from "./fields.ts";

/** So many records without a field make it likely that its name is wrong. */
const enough = 100;

/** Warns once, after the first records, of the paths that none of them had. */
export function watchAbsent(
  paths: readonly (readonly string[])[],
  log: Log,
): (fields: Fields) => void {
  let missing = paths;
  let seen = 0;
  return (fields) => {
    if (seen >= enough || missing.length === 0) return;
    seen += 1;
    missing = missing.filter((path) => fields.at(path) === undefined);
    if (seen < enough || missing.length === 0) return;
    log.warn(
      {
        missing: missing.map((path) => path.join(".")),
        records: seen,
        fix: "Correct the names: paths start in a record's fields (`data.after`).",
      },
      "no record had a field that is named",
    );
  };
}
