import {
  PoisonError,
  type Context,
  type DocumentUpserted,
  type Embedder,
  type RecordDeleted,
  type RetryableError,
  type StateStore,
  type VectorStore,
  type WriteRun,
} from "sluice";
import { breather, type Breathe } from "../text/breathe.ts";
import type { applier } from "./apply.ts";
import { docKeyOf } from "./doc-key.ts";
import type { embeddingPass } from "./embedding-pass.ts";
import type { Held } from "./held.ts";
import type { holder } from "./hold.ts";
import type { Journal } from "./journal.ts";
import type { MetadataRules } from "./metadata.ts";
import type { NamespaceTemplate } from "./namespace-template.ts";
import { barrier } from "./namespaces.ts";
import { judge, leftoversOf, touchesIndex, type Plan } from "./plan.ts";
import type { Visibility, Written } from "./visibility.ts";
import { wantedChunks } from "./wanted.ts";

export type DocumentChange = DocumentUpserted | RecordDeleted;

/** A change with its place in the call. */
export type Placed = readonly [at: number, change: DocumentChange];

type Failures = Map<number, RetryableError | PoisonError>;

/** A worker that died may have had requests on the wire: so often its documents are compared with the index. */
const maxComparisons = 3;

/** Writes the documents of a call that fit in memory together; what fails goes to `failures`. Resolves to the last write of each namespace. */
export function shareWriter(options: {
  readonly store: VectorStore;
  readonly state: StateStore;
  readonly journal: Journal;
  readonly visible: Visibility;
  readonly hold: ReturnType<typeof holder>;
  readonly apply: ReturnType<typeof applier>;
  readonly embed: ReturnType<typeof embeddingPass>;
  readonly embedder: Embedder;
  readonly namespace: NamespaceTemplate;
  readonly rules: MetadataRules;
  readonly log: Context<unknown>["log"];
  readonly meter: Context<unknown>["meter"];
}): (
  share: readonly Placed[],
  run: WriteRun,
  failures: Failures,
) => Promise<ReadonlyMap<string, Written>> {
  const { store, state, journal, visible, hold, apply, embed } = options;
  const { embedder, namespace, rules, log, meter } = options;

  /** Where each document shall be. One that the template makes no name of fails. */
  function wished(share: readonly Placed[], failures: Failures) {
    return share.flatMap(([at, change]) => {
      try {
        const home =
          change.type === "dev.sluice.record.deleted" ? namespace.fixed : namespace.of(change);
        const wish = { docKey: docKeyOf(change.source, change.subject), namespace: home };
        return [{ at, change, wish }];
      } catch (error) {
        if (!(error instanceof PoisonError)) throw error;
        failures.set(at, error);
        return [];
      }
    });
  }

  async function planFor(
    change: DocumentChange,
    held: Held,
    breathe: Breathe,
  ): Promise<Plan | "stale" | undefined> {
    const { source, subject, partitionkey, sequence: version } = change;
    const identity = { source, subject, partitionkey, version, model: embedder.fingerprint };
    const { limits } = store;
    const wanted =
      change.type === "dev.sluice.record.deleted"
        ? "delete"
        : {
            chunks: await wantedChunks(change, held.docKey, { embedder, limits, rules, breathe }),
            lineage: change.data.lineage,
          };
    const verdict = judge(held, identity, wanted);
    if (verdict.kind === "apply") return verdict.plan;
    return verdict.kind === "stale" ? "stale" : undefined;
  }

  async function pass(
    wishes: ReturnType<typeof wished>,
    run: WriteRun,
    failures: Failures,
    how: { readonly isComparison: boolean },
  ): Promise<{ readonly written: ReadonlyMap<string, Written>; readonly touched: number }> {
    const { isComparison } = how;
    const held = await hold(
      wishes.map(({ wish }) => wish),
      run,
      { inspectAll: isComparison },
    );
    const breathe = breather(run.signal);
    const origin = new Map<Plan, (typeof wishes)[number]>();
    for (const [place, one] of wishes.entries()) {
      const own = held[place];
      if (own === undefined) continue;
      try {
        const plan = await planFor(one.change, own, breathe);
        if (plan === "stale" && !isComparison) meter("stale_dropped", 1);
        const due = plan === "stale" ? isComparison && leftoversOf(own) : plan;
        if (due) origin.set(due, one);
      } catch (error) {
        if (!(error instanceof PoisonError)) throw error;
        failures.set(one.at, error);
      }
    }
    const plans = [...origin.keys()];
    const applied = await apply(plans, await embed(plans, run), run);
    for (const [plan, error] of applied.failures) failures.set(origin.get(plan)?.at ?? -1, error);
    const done = plans.filter((plan) => touchesIndex(plan) && !applied.failures.has(plan));
    observe(done, applied.written, origin);
    return { written: applied.written, touched: done.length };
  }

  function observe(
    done: readonly Plan[],
    written: ReadonlyMap<string, Written>,
    origin: ReadonlyMap<Plan, { readonly change: DocumentChange }>,
  ): void {
    for (const [namespace, write] of written) {
      const times = done
        .filter(({ held }) => held.namespace === namespace)
        .flatMap((plan) => origin.get(plan)?.change.time ?? []);
      if (times.length > 0) visible.observe(write, times);
    }
  }

  return async (share, run, failures) => {
    const wishes = wished(share, failures);
    const { written, touched } = await pass(wishes, run, failures, { isComparison: false });
    log.debug(
      { documents: share.length, changed: touched, failed: failures.size },
      "batch written",
    );
    if (!run.redelivered) return written;

    const all = new Map(written);
    for (let round = 1; round <= maxComparisons; round++) {
      const due = wishes.filter(({ at }) => !failures.has(at));
      await seeAll(due, run);
      const again = await pass(due, run, failures, { isComparison: true });
      if (again.touched === 0) break;
      for (const [name, write] of again.written) all.set(name, write);
      meter("redelivered_mended", again.touched);
      log.warn({ documents: again.touched }, "a worker that died changed the index late: mended");
    }
    return all;
  };

  /** Readings from here on show what a previous worker had on the wire. */
  async function seeAll(due: ReturnType<typeof wished>, run: WriteRun): Promise<void> {
    const names = new Set(due.flatMap(({ wish }) => wish.namespace ?? []));
    let highest: bigint | undefined;
    for (const name of names) {
      const lsn = await barrier(store, visible, name, run);
      if (lsn !== undefined && (highest === undefined || lsn > highest)) highest = lsn;
    }
    await state.each([journal.end(run.fence, highest)], run.fence);
    journal.stored(run.fence);
  }
}
