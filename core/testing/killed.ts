import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { Applicable } from "../connector.ts";
import type { SluiceEvent } from "../event.ts";
import type { Fence, StateStore, StateWrite } from "../state/state.ts";
import type { Vector } from "../vectors.ts";
import { state } from "./fakes/state.ts";

/** For a child to start, on a busy machine too. */
export const childMs = 20_000;
const maxMoments = 16;
const maxSteps = 40;
/** Milliseconds after a child has opened: in the middle of what the kit does not see. */
const delaysMs = [3, 30];

/** Where a sink or a store is killed: at a moment (`killedAt`), ahead of a step, or some time after it was opened. */
export interface Kill {
  readonly moment?: number;
  readonly diesAt?: number;
  readonly afterOpenedMs?: number;
}

/** Kills once at every moment and ahead of every step, up to the first that are too many, then in the midst. */
export async function killedThroughout(
  round: (kill: Kill) => Promise<"killed" | "done">,
): Promise<void> {
  for (let moment = 1; moment <= maxMoments; moment += 1)
    if ((await round({ moment })) === "done") break;
  for (let diesAt = 1; diesAt <= maxSteps; diesAt += 1)
    if ((await round({ diesAt })) === "done") break;
  for (const afterOpenedMs of delaysMs) await round({ afterOpenedMs });
}

/** What a child does. Comes as its first message, so that no list of processes shows its config. */
export type ChildOrder = {
  /** URL of the module that exports the connector. */
  readonly module: string;
  readonly name: string;
  readonly config: unknown;
  /** Of a sink or a store: ahead of which of its steps (`watchSteps`), once it is open, it kills itself. */
  readonly diesAt?: number;
} & (
  | {
      readonly kind: "source";
      /** Of the lease it holds. */
      readonly token: number;
    }
  | { readonly kind: "sink"; readonly batch: readonly SluiceEvent[] }
  | { readonly kind: "transform"; readonly samples: readonly Applicable[] }
  | { readonly kind: "embedder"; readonly texts: readonly string[] }
  | {
      readonly kind: "store";
      readonly dimensions: number;
      readonly namespace: string;
      readonly upsert: readonly Vector[];
      /** Ids, once those are written. */
      readonly remove: readonly string[];
    }
);

/** A call of the child, answered by its parent: state is there, and so is the queue. */
export interface ChildCall {
  readonly id: number;
  readonly name: string;
  readonly args: readonly unknown[];
}

export type ChildAnswer = { readonly id: number } & (
  | { readonly value: unknown }
  | { readonly error: string }
);

/**
 * Runs a connector in a process of its own and kills it, by SIGKILL, at its `at`-th moment: every call to
 * the world outside has two, before it is done and after, with its answer lost. Resolves to `done` when
 * `isDone` holds before that, or `killed` once it has died at the step of its order. Rejects when the child
 * ends by itself, or takes longer than `patienceMs`.
 */
export async function killedAt(
  at: number,
  order: ChildOrder,
  world: {
    readonly state: StateStore;
    /**
     * `publish` of a source, with events; `opened` and `written` of a sink; `opened`, `upserted` and `removed` of a
     * store; `answered` of a transform, with what it answered, or an embedder, with its fingerprint and its vectors.
     */
    readonly hear: (name: string, said: readonly unknown[]) => void;
    readonly isDone: () => boolean;
    readonly patienceMs: number;
    /** Counts moments only from `opened` on. */
    readonly sinceOpened?: boolean;
    /** Kills it so long after `opened`, whatever it does then. */
    readonly afterOpenedMs?: number;
  },
): Promise<"killed" | "done"> {
  const { state, hear, isDone, patienceMs, sinceOpened = false, afterOpenedMs } = world;
  const child = fork(new URL("./kit-child.js", import.meta.url), {
    serialization: "advanced",
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  child.send(order);
  const complaint = textOf(child);
  let moments = 0;
  let isCounted = !sinceOpened;
  let end: "killed" | "done" | undefined;
  const kill = (how: "killed" | "done") => {
    end ??= how;
    child.kill("SIGKILL");
  };
  const isAlive = () => {
    if (isCounted) moments += 1;
    if (moments === at) kill("killed");
    return end === undefined;
  };
  const answer = async ({ id, name, args }: ChildCall) => {
    if (!isAlive()) return;
    let said: ChildAnswer;
    try {
      const value = await calls(state)[name]?.(args);
      if (!(name in calls(state))) hear(name, (args[0] ?? []) as readonly unknown[]);
      said = { id, value };
    } catch (error) {
      said = { id, error: String(error) };
    }
    if (!isAlive()) return;
    if (isDone()) return kill("done");
    if (name === "opened") isCounted = true;
    if (name === "opened" && afterOpenedMs !== undefined)
      setTimeout(() => kill("killed"), afterOpenedMs);
    child.send(said, () => {}); // one that was killed meanwhile hears nothing
  };
  child.on("message", (call) => void answer(call as ChildCall)); // only kit-child.ts sends
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.kill("SIGKILL");
  }, patienceMs);
  const [, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  if (order.diesAt !== undefined && signal === "SIGKILL" && !isLate) end ??= "killed";
  if (end === undefined)
    throw new Error(
      `the connector's process ended, or did nothing for ${patienceMs} ms: ${complaint()}`,
    );
  return end;
}

/** What a child may ask of its state. Pages come all at once. */
function calls(
  state: StateStore,
): Readonly<Record<string, (args: readonly unknown[]) => Promise<unknown>>> {
  // As kit-child.ts sends them.
  return {
    get: ([keys]) => state.get(keys as readonly string[]),
    each: ([writes, fence]) => state.each(writes as readonly StateWrite[], fence as Fence),
    all: ([writes, fence]) => state.all(writes as readonly StateWrite[], fence as Fence),
    scan: async ([prefix, options]) => {
      const pages: unknown[] = [];
      for await (const page of state.scan(prefix as string, options as { after?: string }))
        pages.push(page);
      return pages;
    },
  };
}

function textOf(child: ChildProcess): () => string {
  let text = "";
  child.stderr?.on("data", (data: Buffer) => void (text = (text + String(data)).slice(-4_000)));
  return () => text;
}

/** What a transform or an embedder answers in a process of its own; the embedder's fingerprint comes first. */
export async function answeredElsewhere(
  order: ChildOrder & { readonly kind: "transform" | "embedder" },
): Promise<readonly unknown[]> {
  let answer: readonly unknown[] | undefined;
  await killedAt(Infinity, order, {
    state: state().state,
    hear: (_, said) => void (answer = said),
    isDone: () => answer !== undefined,
    patienceMs: 30_000,
  });
  return answer ?? [];
}
