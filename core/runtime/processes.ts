import type { Log } from "../connector.ts";
import type { StatePlace } from "../state/state.ts";

/** One running `sluice start`, as others find it. */
export interface ProcessEntry {
  readonly pid: number;
  readonly host: string;
  /** Of its admin API. */
  readonly url: string;
  readonly connectors: readonly string[];
}

/** No connector can have this name. */
const scopeName = "@processes";
const ttlMs = 15_000;

/** Keeps this process in the registry until the returned function is called. */
export async function registerProcess(
  state: StatePlace,
  entry: ProcessEntry,
  log: Log,
): Promise<() => Promise<void>> {
  const { state: store } = state.scope(scopeName);
  const key = `${entry.host}/${entry.pid}`;
  const value = { ...entry };
  const renew = async () => void (await store.each([{ key, value, ttlMs }]));
  await renew();
  let renewing: Promise<void> | undefined;
  const timer = setInterval(() => {
    renewing ??= renew()
      .catch((error: unknown) => log.debug({ error }, "process registry not renewed"))
      .finally(() => (renewing = undefined));
  }, ttlMs / 3);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await store.each([{ key, value: undefined }]);
  };
}

/** The processes that were alive within the last 15 s. */
export async function listProcesses(state: StatePlace): Promise<readonly ProcessEntry[]> {
  const found: ProcessEntry[] = [];
  for await (const page of state.scope(scopeName).state.scan(""))
    for (const { value } of page) found.push(value as unknown as ProcessEntry); // written by registerProcess only
  return found;
}
