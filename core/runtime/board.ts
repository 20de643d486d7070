import type { SourceContext } from "../connector.ts";
import { SluiceError } from "../errors.ts";
import type { SluiceEvent } from "../event.ts";
import { paceMeter } from "./pace.ts";
import type { ConnectorState, ConnectorStatus } from "./status.ts";

/** Of a counter of a connector. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What changes up and down. Absent: it was not seen yet. */
export interface Gauges {
  /** `Date.now()` when the last checkpoint was stored. */
  readonly checkpointAt?: number;
  /** Seconds from an event's `time` at its origin to when it was through here: the newest event of the last batch. */
  readonly lagSeconds?: number;
}

/** Upper bounds of how many events a batch has. */
const batchSizes = [1, 10, 100, 1_000, 10_000, Infinity];

/** What one connector of this process is doing, kept up to date by its task and read by the admin API. */
export interface Board {
  readonly become: (state: ConnectorState) => void;
  /** Remembers since when it fails, until `become` says otherwise. `failed` is for good. */
  readonly trouble: (state: "failing" | "failed", error: unknown) => void;
  /** Shown instead of what the connector does, until `undefined`: it takes no new work. */
  readonly hold: (state: "paused" | undefined) => void;
  readonly progress: SourceContext<unknown, unknown>["progress"];
  readonly handled: (events: number) => void;
  /** A batch went through: its size and age are measured. */
  readonly passed: (events: readonly SluiceEvent[]) => void;
  /** Of a source: its checkpoint was stored. */
  readonly checkpointed: () => void;
  readonly deadLettered: () => void;
  readonly meter: (name: string, value: number, labels?: Readonly<Record<string, string>>) => void;
  readonly samples: () => readonly Sample[];
  readonly gauges: () => Gauges;
  readonly read: () => BoardStatus;
}

/** What a process knows by itself: how many dead letters there are, all processes share. */
export type BoardStatus = Omit<ConnectorStatus, "deadLetters">;

/** `scrub` takes secrets out of a text (Invariant 11). */
export function statusBoard(
  who: Pick<ConnectorStatus, "name" | "kind" | "type">,
  options: { readonly scrub: (text: string) => string },
): Board {
  let state: ConnectorState = "starting";
  let held: "paused" | undefined;
  let error: ConnectorStatus["error"];
  let progress: Parameters<Board["progress"]>[0] | undefined;
  const pace = paceMeter();
  let events = 0;
  const counters = new Map<string, Sample>();

  let gauges: Gauges = {};
  const meter: Board["meter"] = (name, value, labels = {}) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}=${text}`);
    const key = pairs.length === 0 ? name : `${name}{${pairs.join(",")}}`;
    counters.set(key, { name, labels, value: (counters.get(key)?.value ?? 0) + value });
  };

  return {
    become: (next) => {
      state = next;
      error = undefined;
    },
    trouble: (next, cause) => {
      state = next;
      error = { ...explain(cause, options.scrub), since: error?.since ?? new Date().toISOString() };
    },
    hold: (next) => (held = next),
    progress: (value) => {
      progress = value;
      pace.note(value.phase === "snapshot" ? value : {});
    },
    handled: (count) => (events += count),
    deadLettered: () => meter("dead_lettered", 1),
    passed: (events) => {
      for (const le of batchSizes)
        if (events.length <= le)
          meter("batch_events_bucket", 1, { le: le === Infinity ? "+Inf" : String(le) });
      meter("batch_events_sum", events.length);
      meter("batch_events_count", 1);
      const at = Date.parse(events.at(-1)?.time ?? "");
      if (!Number.isNaN(at))
        gauges = { ...gauges, lagSeconds: Math.max(0, Date.now() - at) / 1_000 };
    },
    checkpointed: () => (gauges = { ...gauges, checkpointAt: Date.now() }),
    meter,
    samples: () => [...counters.values()],
    gauges: () => gauges,
    read: () => ({
      ...who,
      state: held ?? state,
      ...(error && { error }),
      ...(progress && { progress: { ...progress, ...pace.read() } }),
      events,
      counters: Object.fromEntries([...counters].map(([key, { value }]) => [key, value])),
    }),
  };
}

/** An error as people and dead letters see it: code, message and fix, without secrets. */
export function explain(
  error: unknown,
  scrub: (text: string) => string,
): { code: string; message: string; fix?: string } {
  if (error instanceof SluiceError)
    return {
      code: error.code,
      message: scrub(error.message),
      ...(error.fix !== undefined && { fix: scrub(error.fix) }),
    };
  return {
    code: "foreign",
    message: scrub(error instanceof Error ? `${error.name}: ${error.message}` : String(error)),
  };
}
