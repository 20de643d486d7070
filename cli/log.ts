import { pino } from "pino";
import type { Log } from "../core/connector.ts";
import { SluiceError } from "../core/errors.ts";

/** JSON lines. Every secret found anywhere in a line becomes `***` (Invariant 11). */
export function openLog(write: (line: string) => void, secrets: readonly string[]): Log {
  const scrub = scrubber(secrets);
  const logger = pino(
    {
      formatters: { level: (level) => ({ level }) },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { error: told },
    },
    { write: (line) => write(scrub(line)) },
  );
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
  };
}

/** Of an error that says what to do a stack says nothing more; of a foreign one it is what helps. */
function told(error: Error): object {
  const { stack, ...rest } = pino.stdSerializers.err(error);
  return error instanceof SluiceError ? rest : { ...rest, stack };
}

/** Replaces secrets, also as they look inside JSON and URLs. */
export function scrubber(secrets: readonly string[]): (text: string) => string {
  const forms = secrets.flatMap((secret) => [
    secret,
    JSON.stringify(secret).slice(1, -1),
    encodeURIComponent(secret),
  ]);
  const all = [...new Set(forms)].toSorted((a, b) => b.length - a.length);
  return (text) => all.reduce((rest, secret) => rest.replaceAll(secret, "***"), text);
}

/** For commands that answer once: what a connector has to say is shown only if someone should look. */
export function quietLog(note: (text: string) => void, secrets: readonly string[]): Log {
  const scrub = scrubber(secrets);
  const say = (_: object, message: string) => note(scrub(message));
  return { debug: () => {}, info: () => {}, warn: say, error: say };
}
