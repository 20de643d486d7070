import type { Sink, Source, Transform } from "../connector.ts";

/** The built-in connectors by name. Each is imported when a config names it, and not before. */
export interface Catalog {
  readonly sources: Readonly<Record<string, () => Promise<Source>>>;
  readonly transforms: Readonly<Record<string, () => Promise<Transform>>>;
  readonly sinks: Readonly<Record<string, () => Promise<Sink>>>;
}

export type Kind = "source" | "transform" | "sink";

export const kinds: readonly Kind[] = ["source", "transform", "sink"];

/** The part of the catalog that holds one kind. */
export function shelf(
  catalog: Catalog,
  kind: Kind,
): Readonly<Record<string, () => Promise<Source | Transform | Sink>>> {
  switch (kind) {
    case "source":
      return catalog.sources;
    case "transform":
      return catalog.transforms;
    case "sink":
      return catalog.sinks;
  }
}
