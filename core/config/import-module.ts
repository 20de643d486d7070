import { AsyncLocalStorage } from "node:async_hooks";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { SluiceError } from "../errors.ts";

const code = "config.broken-connector";

/** Within what a module does while it loads, its timers included. */
const loading = new AsyncLocalStorage<Load>();

interface Load {
  file: string | undefined;
  /** Fails it. */
  refuse: (error: SluiceError) => void;
}

/**
 * Loads somebody's module, which may neither end this process meanwhile nor keep it waiting: a command would say nothing
 * of it, with exit code 0 even. Nor does it print into the command's answer: that goes to stderr. Throws what it throws.
 */
export async function importModule(file: string, { maxMs = 30_000 } = {}): Promise<object> {
  keepToItself();
  let reject = (_error: SluiceError): void => {};
  const refused = new Promise<never>((_, no) => (reject = no));
  const load: Load = { file, refuse: reject };
  const refuseToWait = (what: string) =>
    load.refuse(
      new SluiceError(`it ${what}.`, {
        code,
        fix: `Take the await at the top level of ${file} away: connect where it is opened.`,
      }),
    );
  // Nothing is left that could wake it.
  const idle = () => refuseToWait("waits for what never comes");
  process.once("beforeExit", idle);
  const timer = setTimeout(() => refuseToWait(`takes more than ${maxMs / 1_000} s`), maxMs).unref();
  try {
    const module = loading.run(load, () => import(pathToFileURL(file).href) as Promise<object>);
    return await Promise.race([module, refused]);
  } finally {
    load.file = undefined;
    process.off("beforeExit", idle);
    clearTimeout(timer);
  }
}

let isKept = false;

/** Has `process.exit` throw, and stdout be stderr, for who is loading. Everybody else ends the process, and prints, as ever. */
function keepToItself(): void {
  if (isKept) return;
  isKept = true;
  const print = process.stdout.write.bind(process.stdout);
  const aside = process.stderr.write.bind(process.stderr);
  const write = (...printed: Parameters<typeof print>) =>
    loading.getStore()?.file === undefined ? print(...printed) : aside(...printed);
  process.stdout.write = write as typeof print; // either of its two signatures
  const real = process.exit.bind(process);
  process.exit = (...status) => {
    const load = loading.getStore();
    // Without a status it is `process.exitCode`; `undefined` said aloud would be 0.
    if (load?.file === undefined) return real(...status);
    const error = new SluiceError(`it calls process.exit(${status.join()}).`, {
      code,
      fix: `Take that call out of ${load.file}: a connector throws instead.`,
    });
    load.refuse(error);
    catchLater(error, () => real(1));
    throw error;
  };
}

/** Thrown just now, and perhaps caught by nobody: in a timer, in a promise. They are told by who loads. */
const refused = new Set<unknown>();

/** Until the end of this turn what was refused ends no process; whatever else nobody catches does, as ever. */
function catchLater(error: SluiceError, end: () => never): void {
  const caught = (thrown: unknown) => {
    if (refused.has(thrown)) return;
    process.stderr.write(`${inspect(thrown)}\n`);
    end();
  };
  if (refused.size === 0) {
    process.on("uncaughtException", caught);
    setImmediate(() => {
      process.off("uncaughtException", caught);
      refused.clear();
    });
  }
  refused.add(error);
}
