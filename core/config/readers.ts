import type { Finding, Sink } from "../connector.ts";
import { canonicalJson } from "./canonical.ts";
import type { Catalog } from "./catalog.ts";
import type { Placed } from "./connectors.ts";
import { below, findingAt, type Spot } from "./document.ts";
import { upstream } from "./flow.ts";
import { withoutSecrets } from "./inherited.ts";
import type { Stage } from "./pipeline.ts";
import { show } from "./show.ts";

interface PlacedStage {
  readonly stage: Stage;
  readonly spot: Spot;
}

/**
 * A stage that reads an index (`reads`), the stages before it and the sink that keeps that index must agree on what
 * the sink's stages inherit, e.g. one embedding: vectors of two models are not comparable.
 */
export async function checkReaders(
  placed: readonly Placed[],
  catalog: Catalog,
  findings: Finding[],
): Promise<void> {
  for (const one of placed)
    for (const [at, reader] of stagesOf(one).entries()) {
      const index = indexOf(reader.stage);
      const load = index && catalog.sinks[index.store];
      if (!index || !load || one.connector.kind === "source") continue;
      const sink = await load();
      // Its own connector is among those upstream where it listens to what comes of it.
      const upstreams = upstream(one.connector.from, placed).filter((other) => other !== one);
      const before = [...stagesOf(one).slice(0, at), ...upstreams.flatMap(stagesOf)];
      const keepers = placed.flatMap(({ connector }) =>
        connector.kind === "sink" && isKeeper(connector, sink, index) ? [connector] : [],
      );
      for (const key of sink.inherit ?? []) {
        const own = partsOf(reader.stage)[key];
        const wanted = own ?? withoutSecrets(sink.config, index.config)[key];
        for (const { stage, spot } of before) {
          const theirs = partsOf(stage)[key];
          if (!differs(theirs, wanted)) continue;
          findings.push(
            findingAt(
              below(spot, "config", key),
              {
                path: [],
                code: "config.differs-from-index",
                message: `${stage.use} has ${key} ${show(theirs)}, but ${reader.stage.use} looks in an index of ${show(wanted)}.`,
                fix: `Write the same ${show(key)} here as in ${show(reader.stage.use)}, or leave ${show(stage.use)} out.`,
              },
              one.connector.name,
            ),
          );
        }
        for (const keeper of keepers) {
          const kept = withoutSecrets(sink.config, keeper.config)[key];
          if (!differs(kept, wanted)) continue;
          const place = own === undefined ? [index.option, "config", key] : [key];
          findings.push(
            findingAt(
              below(reader.spot, "config", ...place),
              {
                path: [],
                code: "config.differs-from-index",
                message: `${reader.stage.use} has ${key} ${show(wanted)}, but ${show(keeper.name)} fills that index with ${show(kept)}.`,
                fix: `Write the same ${show(key)} here as in ${show(keeper.name)}.`,
              },
              one.connector.name,
            ),
          );
        }
      }
    }
}

function stagesOf({ connector, spot, stages }: Placed): readonly PlacedStage[] {
  if (connector.kind === "source") return [];
  return connector.transforms.map((stage, at) => ({ stage, spot: stages[at] ?? spot }));
}

interface Index {
  readonly option: string;
  readonly store: string;
  readonly config: Readonly<Record<string, unknown>>;
}

/** What a stage says it reads; its schema has parsed it. */
function indexOf({ transform, config }: Stage): Index | undefined {
  const option = transform.reads;
  if (option === undefined) return undefined;
  const { [option]: index } = config as Readonly<Record<string, Omit<Index, "option"> | undefined>>;
  return index && { ...index, option };
}

/** True for the sink that keeps this very index. */
function isKeeper(
  { sink, config }: { readonly sink: Sink; readonly config: unknown },
  of: Sink,
  index: Index,
): boolean {
  const own = config as Index["config"]; // a config is an object
  const { locates = [] } = of;
  return (
    sink.name === of.name &&
    locates.length > 0 &&
    locates.every((key) => !differs(own[key] ?? null, index.config[key] ?? null))
  );
}

function partsOf({ transform, config }: Stage): Readonly<Record<string, unknown>> {
  return withoutSecrets(transform.config, config);
}

function differs(one: unknown, other: unknown): boolean {
  if (one === undefined || other === undefined) return false;
  return canonicalJson(one) !== canonicalJson(other);
}
