import type { Auditor, Context, Embedder, StateStore, VectorStore } from "sluice";
import { checkIndex } from "../check-index.ts";
import { docKeyOf } from "../doc-key.ts";
import { manifestsPrefix, toManifest } from "../manifest.ts";
import type { MetadataRules } from "../metadata.ts";
import type { NamespaceTemplate } from "../namespace-template.ts";
import { vectorCache } from "../vector-cache.ts";
import { visibility } from "../visibility.ts";
import { eraser } from "./erase.ts";
import { mender } from "./mend.ts";
import { notesOf } from "./note.ts";
import { rightValues } from "./values.ts";
import { verifier } from "./verify.ts";

/**
 * The audit of an index that vector sync keeps. Owns `store`: `close` closes it. Of another model than the
 * index holds nothing can be verified, but everything erased.
 */
export async function openAudit(options: {
  readonly store: VectorStore;
  /** The sink's own, as its writer has it. */
  readonly state: StateStore;
  readonly embedder: Pick<Embedder, "fingerprint" | "dimensions">;
  /** The embedder itself, should texts have to be embedded. The audit closes it. */
  readonly openEmbedder: () => Promise<Embedder>;
  readonly namespace: NamespaceTemplate;
  readonly rules: MetadataRules;
  readonly log: Context<unknown>["log"];
  readonly meter: Context<unknown>["meter"];
  readonly signal: AbortSignal;
  /** Milliseconds that an index may be behind. Default 10 s. */
  readonly visibleWithinMs?: number;
}): Promise<Auditor> {
  const { store, state, embedder, openEmbedder, namespace, rules, signal } = options;
  const { visibleWithinMs = 10_000 } = options;
  const { fixed } = namespace;
  const { dimensions } = await store.describe({ signal }).catch(async (error: unknown) => {
    await store.close();
    throw error;
  });
  const visible = visibility({ ...options, dimensions, patienceMs: visibleWithinMs });
  const cache = vectorCache({ state, dimensions, maxBytes: Infinity });
  const verify = verifier({
    store,
    state,
    fixed,
    right: rightValues({ cache, openEmbedder }),
    visibleWithinMs,
    origin: { state, embedder, limits: store.limits, rules, namespace },
  });
  return {
    async *verify(how, run) {
      const wanted = { model: embedder, metric: undefined, namespace: fixed, isCreated: false };
      await checkIndex(store, wanted, run);
      return yield* verify(how, run);
    },
    mend: mender({ store, state }),
    erase: eraser({ store, state, visible, cache, fixed }),
    async noteOf({ source, subject }) {
      const [note] = await notesOf(state, [docKeyOf(source, subject)]);
      if (note === undefined) return undefined;
      const { version, partitionkey, state: now } = note.manifest;
      return { version, partitionkey, isDeleted: now === "tombstone" };
    },
    async *records() {
      for await (const page of state.scan(manifestsPrefix))
        for (const entry of page) {
          const manifest = toManifest(entry);
          if (manifest) yield { source: manifest.source, subject: manifest.subject };
        }
    },
    async close() {
      visible.close();
      await store.close();
    },
  };
}
