import type { Backend } from "../backend.ts";
import type { ResolvedConnector } from "../config/pipeline.ts";
import type { Context, ConnectorDefinition, Config, Finding, Log } from "../connector.ts";
import { SluiceError } from "../errors.ts";
import { prefixed } from "../state/prefixed.ts";
import type { Fence, StateStore } from "../state/state.ts";
import { forgetSubscription } from "./catch-up.ts";
import { ownPrefix } from "./keys.ts";
import { forgetProducer, listProducers } from "./producers.ts";
import { pendingRequests } from "./requests.ts";
import { holdIdle, isHad } from "./who-runs.ts";
import { forgetWish } from "./wishes.ts";

/** What there is of a connector. */
export interface Belongings {
  readonly subscriptions: readonly { readonly topic: string; readonly waiting: number }[];
  readonly deadLetters: number;
  /** Snapshot requests that are not completed. */
  readonly requests: number;
  readonly hasState: boolean;
}

/** What was removed. */
export interface Removed extends Omit<Belongings, "hasState"> {
  /** What the connector itself says about what it had made at its origin. */
  readonly findings: readonly Finding[];
  /** Entries of its state, its checkpoint included. */
  readonly entries: number;
}

export async function belongingsOf(name: string, backend: Backend): Promise<Belongings> {
  const { topics, state, deadLetters } = backend;
  const { state: store } = state.scope(name);
  const producers = await listProducers(state);
  return {
    subscriptions: (await topics.subscriptions())
      .filter((one) => one.name === name)
      .map(({ topic, waiting }) => ({ topic, waiting })),
    deadLetters: await deadLetters.count(name),
    requests: (await pendingRequests(store)).length,
    hasState: (await hasEntries(store)) || producers.some((one) => one.name === name),
  };
}

/**
 * Takes a connector away: what it made at its origin (its own `remove`, where its config is at hand),
 * its subscriptions with what waits, its dead letters, its checkpoint, requests and state. Refuses
 * while any process runs it. Ended half-way, it may be done again.
 */
export async function removeConnector(
  name: string,
  connector: ResolvedConnector | undefined,
  backend: Backend,
  run: { readonly log: Log; readonly signal: AbortSignal },
): Promise<Removed> {
  const lease = await holdIdle(name, backend, run.log);
  try {
    const { state } = backend.state.scope(name);
    const { project } = backend;
    const context = { name, project, ...run, state: prefixed(state, ownPrefix), meter: () => {} };
    const findings = connector ? await removeAtOrigin(connector, context) : [];
    const { subscriptions, requests } = await belongingsOf(name, backend);
    for (const { topic } of subscriptions) await endSubscription(topic, name, backend);
    const deadLetters = await dropLetters(name, backend);
    const entries = await clear(state, lease);
    await forgetProducer(backend.state, name);
    // A process that still has it in its files would start it again.
    if (!(await isHad(name, backend))) await forgetWish(name, backend.state);
    return { findings, subscriptions, requests, deadLetters, entries };
  } finally {
    await lease.release();
  }
}

/** Ends one subscription: what waits for it is dropped, and nobody catches it up any more. */
export async function endSubscription(
  topic: string,
  name: string,
  { topics, state }: Backend,
): Promise<void> {
  await topics.unsubscribe(topic, name);
  await forgetSubscription(topic, name, state);
}

async function removeAtOrigin(
  connector: ResolvedConnector,
  context: Omit<Context<unknown>, "config">,
): Promise<readonly Finding[]> {
  const { definition, config } = madeBy(connector);
  if (!definition?.remove) return [];
  const { name } = connector;
  let findings: readonly Finding[];
  try {
    findings = await definition.remove({ ...context, config });
  } catch (error) {
    throw notRemoved(name, error);
  }
  const wrong = findings.find(({ severity }) => severity === "error");
  if (wrong) throw notRemoved(name, new SluiceError(wrong.message, wrong));
  return findings;
}

/** True when the connector makes something at its origin that its removal takes away. */
export function hasOrigin(connector: ResolvedConnector): boolean {
  return madeBy(connector).definition?.remove !== undefined;
}

function madeBy(connector: ResolvedConnector): {
  readonly definition: ConnectorDefinition<Config> | undefined;
  readonly config: unknown;
} {
  if (connector.kind === "source")
    return { definition: connector.source, config: connector.config };
  if (connector.kind === "sink") return { definition: connector.sink, config: connector.config };
  const own = connector.transforms.at(-1);
  return { definition: own?.transform, config: own?.config };
}

function notRemoved(name: string, cause: unknown): SluiceError {
  const { message, fix } =
    cause instanceof SluiceError ? cause : { message: String(cause), fix: undefined };
  const anyway = `Is its origin gone for good? Then leave it out of the files, and remove what Sluice keeps of it: sluice remove ${name}`;
  return new SluiceError(`${name}: nothing was removed: ${message}`, {
    code: "remove.origin",
    fix: fix === undefined ? anyway : `${fix}\n${anyway}`,
    cause,
  });
}

async function dropLetters(name: string, { deadLetters }: Backend): Promise<number> {
  let count = 0;
  for await (const page of deadLetters.list(name)) {
    await deadLetters.remove(
      name,
      page.map(({ id }) => id),
    );
    count += page.length;
  }
  return count;
}

async function clear(state: StateStore, fence: Fence): Promise<number> {
  let count = 0;
  for await (const page of state.scan("")) {
    await state.each(
      page.map(({ key }) => ({ key, value: undefined })),
      fence,
    );
    count += page.length;
  }
  return count;
}

async function hasEntries(state: StateStore): Promise<boolean> {
  for await (const page of state.scan("", { pageSize: 1 })) if (page.length > 0) return true;
  return false;
}
