import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import type { VectorStoreExtension } from "../extension.ts";
import type { Vector } from "../vectors.ts";
import { settles, word, type Case, type WrittenConfig } from "./conformance.ts";
import { state } from "./fakes/state.ts";
import { childMs, killedAt, killedThroughout, type Kill } from "./killed.ts";
import type { StoreHand } from "./store.ts";

const most = 20;
/** That write at once, besides the kit's own, and how much that one writes meanwhile. */
const processes = 3;
const mostBeside = 500;

/** What is in a database that another process writes to, which is killed or works at the same time. */
export function storeKillCases(given: {
  readonly store: VectorStoreExtension;
  readonly module: string;
  readonly config: WrittenConfig;
  readonly dimensions: number;
  readonly patienceMs: number;
  readonly vector: StoreHand["vector"];
  /** Opens the store anew. */
  readonly within: (namespace: string, use: (hand: StoreHand) => Promise<void>) => Promise<void>;
}): readonly Case[] {
  const { store: extension, module, config, dimensions, patienceMs, vector, within } = given;
  const { kind, name } = extension;
  return [
    {
      name: "written to from other processes at once, it loses nothing",
      run: () =>
        within(word(), async ({ store, to, shows }) => {
          const { namespace } = to;
          const theirs = Array.from({ length: processes }, (_, at) => vector(`theirs-${at}`));
          const ours: Vector[] = [];
          let working = processes;
          const writeBeside = async () => {
            while (working > 0 && ours.length < mostBeside) {
              const own = vector(`ours-${ours.length}`);
              await store.upsert([own], to);
              ours.push(own);
            }
          };
          let writing: Promise<void> | undefined;
          const work = async (own: Vector) => {
            let isWritten = false;
            await killedAt(
              Infinity,
              { module, kind, name, config, dimensions, namespace, upsert: [own], remove: [] },
              {
                state: state().state,
                hear: (call) => {
                  if (call === "opened") {
                    writing ??= writeBeside();
                    writing.catch(() => undefined); // told below
                  }
                  if (call === "upserted") isWritten = true;
                },
                isDone: () => isWritten,
                patienceMs: childMs,
              },
            ).finally(() => (working -= 1));
          };
          try {
            await Promise.all(theirs.map(work));
          } finally {
            working = 0;
            await writing;
          }
          await shows([...theirs, ...ours]);
          const { maxDeleteIds } = store.limits;
          const ids = [...theirs, ...ours].map(({ id }) => id);
          for (let at = 0; at < ids.length; at += maxDeleteIds)
            await store.remove(ids.slice(at, at + maxDeleteIds), to);
        }),
    },
    {
      name: "killed at each step, what it answered is there, and every vector is whole",
      run: async () => {
        const place = state();
        const namespace = word();
        let held: readonly Vector[] = [];
        let count = most;
        let rounds = 0;
        await within(namespace, async ({ store: { limits } }) => {
          count = Math.min(most, limits.maxVectors, limits.maxDeleteIds, limits.maxFetchIds);
        });

        const round = async ({ moment = Infinity, diesAt, afterOpenedMs }: Kill) => {
          rounds += 1;
          // One is left alone, the others change, and then every second of those goes.
          const text = `round ${rounds}`;
          const [alone, ...others] = held;
          const upsert = Array.from({ length: count - 1 }, (_, at) =>
            vector(others[at]?.id ?? `v${rounds}-${at}`, { text, towards: at }),
          );
          const remove = others.filter((_, at) => at % 2 === 0).map(({ id }) => id);
          const heard = new Set<string>();
          const order = { module, kind, name, config, dimensions, namespace, upsert, remove };
          const end = await killedAt(
            moment,
            { ...order, ...(diesAt && { diesAt }) },
            {
              state: place.state,
              hear: (call) => void heard.add(call),
              isDone: () => heard.has("removed"),
              patienceMs: childMs,
              ...(afterOpenedMs !== undefined && { afterOpenedMs }),
            },
          );
          const allowed = (one: Vector) => {
            const isToGo = remove.includes(one.id);
            if (!heard.has("upserted")) return [one, others.find(({ id }) => id === one.id)];
            if (heard.has("removed") && isToGo) return [undefined];
            return isToGo ? [one, undefined] : [one];
          };
          await within(namespace, async ({ store, to, shows }) => {
            const about = alone ? [alone, ...upsert] : upsert;
            await settles(patienceMs, async () => {
              const ids = about.map(({ id }) => id);
              const found = new Map((await store.fetch(ids, to)).map((one) => [one.id, one]));
              for (const one of about) {
                const is = found.get(one.id);
                const may = one === alone ? [alone] : allowed(one);
                if (may.some((other) => isDeepStrictEqual(is, other))) continue;
                const after = [...heard].at(-1) ?? "started";
                assert.deepEqual(is, may[0], `${one.id}, killed once it had ${after}`);
              }
            });
            await store.upsert(upsert, to);
            if (remove.length > 0) await store.remove(remove, to);
            held = about.filter(({ id }) => !remove.includes(id));
            await shows(held);
          });
          return end;
        };

        await killedThroughout(round);
        await within(namespace, async ({ store, to }) => {
          await store.remove(
            held.map(({ id }) => id),
            to,
          );
        });
      },
    },
  ];
}
