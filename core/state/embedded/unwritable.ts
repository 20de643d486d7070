import { ConfigError } from "../../errors.ts";

/** The folder of the data is a file, or not ours to write. */
export function unwritable(dir: string, cause?: unknown): ConfigError {
  return new ConfigError(`state: the directory ${dir} cannot be written.`, {
    code: "state.directory-unwritable",
    fix: `Make ${dir} a directory this user may write, or name another: "queue": "embedded:DIR".`,
    cause,
  });
}
