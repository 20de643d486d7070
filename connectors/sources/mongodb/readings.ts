import type { Value } from "./bson.ts";
import type { Chunk } from "./chunk.ts";

/** A chunk from the moment it is asked for until it is emitted. */
export interface Reading {
  /**
   * Takes what was read. `again`: too much changed meanwhile to tell what is still true. `void`: the collection
   * was cleared, and what is in it now has come by the stream.
   */
  readonly fill: (chunk: Chunk) => "filled" | "again" | "void";
  /** By key: what the stream has not said anything newer about. */
  readonly documents: () => ReadonlyMap<string, Value>;
  readonly isVoid: () => boolean;
  readonly end: () => void;
}

export interface Readings {
  readonly begin: (collection: string) => Reading;
  /** The stream's word on this record has been emitted. */
  readonly touch: (collection: string, key: string) => void;
  /** The stream's word that all before is gone has been emitted. */
  readonly clear: (collection: string) => void;
}

interface Open {
  touched: Set<string>;
  documents: Map<string, Value> | undefined;
  state: "open" | "overrun" | "void";
}

/** Memory is bounded: a read during which more than this changes begins anew. */
const mostTouched = 200_000;
const noDocuments: ReadonlyMap<string, Value> = new Map();

/**
 * Keeps what a copy reads from overtaking the stream. What the stream has emitted of a record since the chunk
 * was asked for is as new as the chunk or newer, so the chunk loses that record; one whose changes up to the
 * chunk's time have all been emitted, and none since it was asked for, is in the chunk as it is now.
 */
export function readings(): Readings {
  const all = new Map<string, Set<Open>>();
  return {
    begin: (collection) => {
      const one: Open = { touched: new Set(), documents: undefined, state: "open" };
      const others = all.get(collection) ?? new Set();
      all.set(collection, others.add(one));
      return {
        fill: ({ documents }) => {
          if (one.state === "void") return "void";
          if (one.state === "overrun") return "again";
          for (const key of one.touched) documents.delete(key);
          one.touched.clear();
          one.documents = documents;
          return "filled";
        },
        documents: () => one.documents ?? noDocuments,
        isVoid: () => one.state === "void",
        end: () => {
          others.delete(one);
          if (others.size === 0 && all.get(collection) === others) all.delete(collection);
        },
      };
    },
    touch: (collection, key) => {
      for (const one of all.get(collection) ?? [])
        if (one.documents) one.documents.delete(key);
        else if (one.state === "open") {
          one.touched.add(key);
          if (one.touched.size <= mostTouched) continue;
          one.state = "overrun";
          one.touched.clear();
        }
    },
    clear: (collection) => {
      for (const one of all.get(collection) ?? []) {
        one.state = "void";
        one.documents = undefined;
        one.touched.clear();
      }
    },
  };
}
