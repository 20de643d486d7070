import {
  RetryableError,
  type Entry,
  type StateStore,
  type VectorStore,
  type WriteRun,
} from "sluice";
import { toHeld, type Held } from "./held.ts";
import { inspect } from "./inspect.ts";
import type { Journal } from "./journal.ts";
import { manifestKeyOf, toManifest } from "./manifest.ts";
import { rootKey, type Namespaces } from "./namespaces.ts";

/** A document that is about to change, and where it shall be; without a namespace it stays where it is. */
export interface Wish {
  readonly docKey: string;
  readonly namespace: string | undefined;
}

const maxReads = 10;

/**
 * Reads what is known of documents, in one round trip to state; what an older finding makes doubtful
 * is compared with the index first, and with `inspectAll` everything is.
 */
export function holder(options: {
  readonly store: VectorStore;
  readonly state: StateStore;
  readonly journal: Journal;
  readonly namespaces: Namespaces;
}): (
  wishes: readonly Wish[],
  run: WriteRun,
  how?: { readonly inspectAll: boolean },
) => Promise<readonly Held[]> {
  const { store, state, journal, namespaces } = options;

  return async (wishes, run, { inspectAll } = { inspectAll: false }) => {
    const homes = [
      ...new Set(wishes.flatMap(({ namespace }) => namespace ?? namespaces.fixed ?? [])),
    ];
    for (let reads = 0; reads < maxReads; reads++) {
      for (const namespace of homes) await namespaces.open(namespace, run);
      const entries = await state.get([
        rootKey,
        journal.keyOf(run.fence),
        ...homes.map(namespaces.keyOf),
        ...wishes.map(({ docKey }) => manifestKeyOf(docKey)),
      ]);
      const [root, mark, ...others] = entries;
      if (journal.wentBack(mark, run.fence)) {
        await namespaces.doubtAll(run);
        continue;
      }
      const rows = others.splice(homes.length);
      // A note that is gone: state lost everything.
      const areKnown = homes.map((namespace, at) => namespaces.refresh(namespace, others[at]));
      if (!areKnown.every(Boolean) || (await openOld(rows, run))) continue;
      const held = wishes.map((wish, at) => judge(wish, rows[at], root));
      return await inspectWhere(
        held,
        ({ held: one, isDoubtful }) => {
          return one.namespace !== "" && (inspectAll || isDoubtful);
        },
        run,
      );
    }
    throw new RetryableError("vectors: state keeps losing what was just written.", {
      code: "vectors.manifest-changed",
      reason: "unreachable",
    });
  };

  /** True when a namespace that documents are in was not opened before: it may have brought notes of others. */
  async function openOld(rows: readonly (Entry | undefined)[], run: WriteRun): Promise<boolean> {
    let isNews = false;
    for (const row of rows) {
      const namespace = toManifest(row)?.namespace;
      if (namespace && (await namespaces.open(namespace, run))) isNews = true;
    }
    return isNews;
  }

  function judge({ docKey, namespace }: Wish, row: Entry | undefined, root: Entry | undefined) {
    const manifest = toManifest(row);
    const unnoted = namespaces.unnoted(root);
    const home = namespace ?? (manifest ?? unnoted).namespace ?? "";
    const trust = manifest === undefined ? unnoted.trust : namespaces.trustOf(manifest, root);
    const held = toHeld(
      docKey,
      { revision: row?.revision ?? 0, manifest },
      { namespace: home, epoch: namespaces.epochOf(home, root), trust },
    );
    return { held, isDoubtful: trust === "doubtful" };
  }

  async function inspectWhere(
    judged: readonly ReturnType<typeof judge>[],
    where: (one: ReturnType<typeof judge>) => boolean,
    run: WriteRun,
  ): Promise<readonly Held[]> {
    const chosen = judged.filter(where);
    const read = await inspect(
      store,
      chosen.map(({ held }) => held),
      run,
    );
    const found = new Map(chosen.map((one, at) => [one, read[at]]));
    return judged.map((one) => found.get(one) ?? one.held);
  }
}
