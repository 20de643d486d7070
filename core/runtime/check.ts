import { accessSync, constants, existsSync } from "node:fs";
import { dirname } from "node:path";
import { openBackend, type Backend } from "../backend.ts";
import { canonicalJson } from "../config/canonical.ts";
import type { Pipeline, ResolvedConnector } from "../config/pipeline.ts";
import type { Config, Context, ConnectorDefinition, Finding, Log } from "../connector.ts";
import { SluiceError } from "../errors.ts";
import type { Durability, Topics } from "../queue/queue.ts";
import { unwritable } from "../state/embedded/unwritable.ts";
import { prefixed } from "../state/prefixed.ts";
import { readOnly } from "../state/read-only.ts";
import type { StateStore } from "../state/state.ts";
import { explain } from "./board.ts";
import { checkpointKey, ownPrefix } from "./keys.ts";
import { commandEnding, orphansOf } from "./orphans.ts";
import { isUntouched } from "./read-status.ts";
import { lossOf, parsedCheckpoint } from "./read-source.ts";
import { whoIs } from "./who-is.ts";

/** What was found about one thing. */
export interface CheckGroup {
  /** `queue`, `state`, or a connector's name. */
  readonly name: string;
  readonly kind: "queue" | "state" | ResolvedConnector["kind"];
  /** `redis` or `embedded`, or the connector's type. */
  readonly type: string;
  readonly findings: readonly Finding[];
}

export interface CheckOptions {
  readonly log: Log;
  /** Takes secrets out of a text (Invariant 11). */
  readonly scrub: (text: string) => string;
  /** How long one connector's check may take, milliseconds. */
  readonly withinMs?: number;
}

/**
 * Asks queue, state and every connector, side by side, whether they are reachable, permitted and set
 * up. Changes nothing that stays. Throws what opening queue or state throws: then nothing else can be told.
 */
export async function checkPipeline(
  pipeline: Pipeline,
  options: CheckOptions,
): Promise<readonly CheckGroup[]> {
  const isNew = isUntouched(pipeline);
  const backend = isNew ? undefined : await openBackend(pipeline, { log: options.log });
  try {
    const durability = backend ? await backend.topics.durability() : "disk";
    const groups = await Promise.all([
      checkQueue(pipeline, backend),
      checkState(pipeline, backend),
      ...pipeline.connectors.map(async (one): Promise<CheckGroup> => {
        const findings = await checkConnector(one, pipeline.project, backend, durability, options);
        return { ...whoIs(one), findings };
      }),
    ]);
    return groups.flatMap((group) => (group ? [scrubbed(group, options.scrub)] : []));
  } finally {
    await backend?.close(1_000);
  }
}

async function checkQueue(pipeline: Pipeline, backend?: Backend): Promise<CheckGroup> {
  const about = { name: "queue", kind: "queue", type: pipeline.queue.kind } as const;
  if (!backend) return { ...about, findings: [notYet(pipeline)] };
  const orphans = (await orphansOf(pipeline, backend)).map((orphan): Finding => ({
    severity: "warning",
    code: "queue.orphan",
    message: `queue: the subscription "${orphan.name}" of topic "${orphan.topic}" has no consumer, and ${orphan.waiting} events waiting: once it is full, the topic stands still.`,
    fix: `Start its consumer, or end it: ${commandEnding(orphan, pipeline)}`,
  }));
  const findings = [...(await backend.topics.check()), ...(await refusalOf(backend.topics))];
  return { ...about, findings: [...findings, ...orphans] };
}

/** Why it takes nothing, although it answers. */
async function refusalOf({ probe }: Pick<Topics, "probe">): Promise<readonly Finding[]> {
  return await probe().then(
    () => [],
    (error: unknown) => [toFinding(error)],
  );
}

/** Nothing where it lies beside the queue. */
async function checkState(
  { queue, state }: Pipeline,
  backend?: Backend,
): Promise<CheckGroup | undefined> {
  if (!backend || canonicalJson(queue) === canonicalJson(state)) return undefined;
  const findings = [...(await backend.state.check()), ...(await refusalOf(backend.state))];
  return { name: "state", kind: "state", type: state.kind, findings };
}

function notYet({ queue }: Pipeline): Finding {
  const dir = queue.kind === "embedded" ? queue.dir : "";
  let above = dir;
  while (!existsSync(above)) above = dirname(above);
  try {
    accessSync(`${above}/`, constants.W_OK | constants.X_OK);
  } catch {
    return toFinding(unwritable(dir)); // a file, or not ours to write
  }
  return {
    severity: "ok",
    code: "embedded.new",
    message: `embedded: ${dir} will be created at start; durability disk.`,
  };
}

async function checkConnector(
  connector: ResolvedConnector,
  project: string,
  backend: Backend | undefined,
  durability: Durability,
  { log, withinMs = 15_000 }: CheckOptions,
): Promise<readonly Finding[]> {
  const { name } = connector;
  const store = backend && backend.state.scope(name).state;
  const of = (definition: ConnectorDefinition<Config>, config: unknown) => {
    const state = prefixed(readOnly(store), ownPrefix);
    return checkWithin(
      definition,
      { name, project, config, log, state, meter: () => {} },
      withinMs,
    );
  };
  if (connector.kind === "source") {
    const own = [await of(connector.source, connector.config)];
    return [...(await checkPosition(connector, durability, store)), ...own.flat()];
  }
  const stages = await Promise.all(
    connector.transforms.map(({ transform, config }) => of(transform, config)),
  );
  const own = connector.kind === "sink" ? await of(connector.sink, connector.config) : undefined;
  // Most transforms have nothing to check: only who has not said anything at all is worth a word.
  const told = stages.flat().filter(({ code }) => code !== "check.none");
  return [...told, ...(own ?? (told.length === 0 ? stages.flat().slice(-1) : []))];
}

/** What the runner knows of a source by itself. */
async function checkPosition(
  connector: Extract<ResolvedConnector, { kind: "source" }>,
  durability: Durability,
  store: StateStore | undefined,
): Promise<readonly Finding[]> {
  const errors: SluiceError[] = [];
  const loss = lossOf(connector, durability);
  if (loss) errors.push(loss);
  const [stored] = (await store?.get([checkpointKey])) ?? [];
  try {
    if (stored) parsedCheckpoint(connector, stored.value);
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    errors.push(error);
  }
  return errors.map(toFinding);
}

/** A definition's own check; what it throws, or that it takes too long, is a finding too. */
async function checkWithin(
  definition: ConnectorDefinition<Config>,
  context: Omit<Context<unknown>, "signal">,
  ms: number,
): Promise<readonly Finding[]> {
  const { name } = context;
  if (!definition.check)
    return [
      {
        severity: "ok",
        code: "check.none",
        message: `${name}: ${definition.name} has no check of its own.`,
      },
    ];
  const stop = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<readonly Finding[]>((resolve) => {
    timer = setTimeout(() => {
      resolve([tooLate(name, ms)]);
      stop.abort();
    }, ms);
  });
  try {
    return await Promise.race([definition.check({ ...context, signal: stop.signal }), late]);
  } catch (error) {
    return [toFinding(error)];
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

function tooLate(name: string, ms: number): Finding {
  return {
    severity: "error",
    code: "check.timeout",
    message: `${name}: its check did not end within ${ms / 1_000} s.`,
    fix: "See whether what it connects to answers, and how fast.",
  };
}

function toFinding(error: unknown): Finding {
  if (error instanceof SluiceError) return { severity: "error", ...explain(error, (text) => text) };
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return {
    severity: "error",
    code: "check.failed",
    message: `the check failed by itself: ${message}.`,
    fix: "Where nothing it connects to explains that, it is a mistake in the connector.",
  };
}

function scrubbed({ findings, ...about }: CheckGroup, scrub: CheckOptions["scrub"]): CheckGroup {
  return {
    ...about,
    findings: findings.map((finding) => ({
      ...finding,
      message: scrub(finding.message),
      ...(finding.fix !== undefined && { fix: scrub(finding.fix) }),
    })),
  };
}
