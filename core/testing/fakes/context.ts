import { setMaxListeners } from "node:events";
import type { Context, Log, WriteRun } from "../../connector.ts";
import type { StateStore } from "../../state/state.ts";
import { state as fakeState } from "./state.ts";

/** One thing that a connector said to its log. */
export interface LogLine {
  readonly level: keyof Log;
  readonly fields: object;
  readonly message: string;
}

/** A `Context` that keeps what the connector said. */
export interface FakeContext<C> extends Context<C> {
  readonly lines: readonly LogLine[];
  /** Sums by name and labels: `skipped{reason=size}`. */
  readonly counters: ReadonlyMap<string, number>;
}

/** What a transform or sink is opened with. `config` is given as its schema's output, parsed. */
export function context<C>(given: {
  readonly config: C;
  readonly name?: string;
  readonly state?: StateStore;
  readonly signal?: AbortSignal;
}): FakeContext<C> {
  const lines: LogLine[] = [];
  const counters = new Map<string, number>();
  const at = (level: keyof Log) => (fields: object, message: string) =>
    void lines.push({ level, fields, message });
  return {
    name: given.name ?? "test",
    project: "test",
    config: given.config,
    state: given.state ?? fakeState().state,
    signal: given.signal ?? new AbortController().signal,
    log: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") },
    meter: (name, value, labels = {}) => {
      const list = Object.entries(labels).map(([label, text]) => `${label}=${text}`);
      const key = list.length > 0 ? `${name}{${list.join(",")}}` : name;
      counters.set(key, (counters.get(key) ?? 0) + value);
    },
    lines,
    counters,
  };
}

/** What a sink's `write` is called with: an owned partition, a minute before the lease ends. */
export function writeRun(given: Partial<WriteRun> = {}): WriteRun {
  const { signal = new AbortController().signal } = given;
  setMaxListeners(0, signal); // as the runner does: a writer may make a request an event
  return {
    signal,
    fence: { lease: "test", token: 1 },
    deadline: performance.now() + 60_000,
    redelivered: false,
    ...given,
  };
}
