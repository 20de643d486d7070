import { AsyncLocalStorage } from "node:async_hooks";
import { pathToFileURL } from "node:url";
import { SluiceError } from "../errors.ts";

const code = "config.broken-connector";

/** Within what a module does while it loads, its timers included. */
const loading = new AsyncLocalStorage<{ file: string | undefined }>();

/**
 * Loads somebody's module, which may neither end this process meanwhile nor keep it waiting: a command would say nothing
 * of it, with exit code 0 even. Throws what it throws.
 */
export async function importModule(file: string, { maxMs = 30_000 } = {}): Promise<object> {
  refuseExits();
  const load = { file };
  const waits = new AbortController();
  const late = new Promise<never>((_, reject) => {
    const refuse = (what: string) =>
      reject(
        new SluiceError(`it ${what}.`, {
          code,
          fix: `Take the await at the top level of ${file} away: connect where it is opened.`,
        }),
      );
    // Nothing is left that could wake it.
    const idle = () => refuse("waits for what never comes");
    process.once("beforeExit", idle);
    const timer = setTimeout(() => refuse(`takes more than ${maxMs / 1_000} s`), maxMs).unref();
    waits.signal.addEventListener("abort", () => {
      process.off("beforeExit", idle);
      clearTimeout(timer);
    });
  });
  try {
    const module = loading.run(load, () => import(pathToFileURL(file).href) as Promise<object>);
    return await Promise.race([module, late]);
  } finally {
    Object.assign(load, { file: undefined });
    waits.abort();
  }
}

let hasRefused = false;

/** Has `process.exit` throw for who is loading. Everybody else ends the process as ever. */
function refuseExits(): void {
  if (hasRefused) return;
  hasRefused = true;
  const real = process.exit.bind(process);
  process.exit = (...status) => {
    const { file } = loading.getStore() ?? {};
    // Without a status it is `process.exitCode`; `undefined` said aloud would be 0.
    if (file === undefined) real(...status);
    throw new SluiceError(`it calls process.exit(${status.join()}).`, {
      code,
      fix: `Take that call out of ${file}: a connector throws instead.`,
    });
  };
}
