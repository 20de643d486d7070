import { SluiceError } from "../errors.ts";

/**
 * Calls what a connector brought. An error that is none of Sluice's says neither who threw it nor what to do: it becomes the
 * cause of one that does.
 */
export async function blaming<T>(who: string, call: () => T | Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw blamed(who, error);
  }
}

/** What was thrown, with the name of who threw it. */
export function blamed(who: string, error: unknown): unknown {
  if (error instanceof SluiceError) return error;
  return new SluiceError(`${who} failed with an error of its own.`, {
    code: "connector.failed",
    fix: "Where nothing it connects to explains that, it is a mistake in the connector.",
    cause: error,
  });
}
