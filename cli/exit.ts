import { CommanderError } from "commander";
import { ConfigError, RetryableError } from "../core/errors.ts";
import { isSystemError } from "./system-error.ts";

/** What the process ends with. */
export const exit = {
  /** Also after a clean stop by a signal. */
  done: 0,
  failed: 1,
  /** The command line or a config file is wrong. */
  invalid: 2,
  /** Unreachable, refused, a driver that is missing, a port in use. */
  environment: 3,
  /** A second signal: stopped at once. */
  interrupted: 130,
  terminated: 143,
} as const;

const invalid = new Set([
  "cli.ambiguous-topic",
  "cli.demo-folder",
  "cli.env-file",
  "cli.init-folder",
  "cli.init-name",
  "cli.no-event",
  "cli.no-feedback",
  "cli.no-file",
  "cli.no-questions",
  "cli.no-sink",
  "cli.no-snapshot",
  "cli.refused-question",
  "cli.unconfirmed",
  "cli.unknown-letter",
  "cli.unknown-name",
  "cli.unknown-source",
  "cli.unreadable",
  "cli.usage",
  "dead-letters.no-subscription",
  "vectors.no-namespace",
]);
const environment = new Set([
  "ERR_MODULE_NOT_FOUND",
  "MODULE_NOT_FOUND",
  "ECONNREFUSED",
  "ECONNRESET",
  "ETIMEDOUT",
]);

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exit.done : exit.invalid;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  // Some things that are wrong with the machine come as configuration errors: another config helps.
  if (/\.(port-in-use|not-listening|driver-missing)$/.test(code)) return exit.environment;
  if (error instanceof ConfigError || invalid.has(code)) return exit.invalid;
  if (error instanceof RetryableError) return exit.environment;
  if (isSystemError(error) || environment.has(code)) return exit.environment;
  return error instanceof Error && error.cause !== undefined
    ? exitCodeOf(error.cause)
    : exit.failed;
}
