import type { Finding } from "../connector.ts";
import { canonicalJson } from "./canonical.ts";
import type { Placed } from "./connectors.ts";
import { below, findingAt, type Spot } from "./document.ts";
import { upstream } from "./flow.ts";
import { show } from "./show.ts";
import { mapMarked } from "./marks.ts";
import type { SinkConnector, Stage } from "./pipeline.ts";

/** The stages before a sink must use what it uses where it says so (`inherit`), e.g. one embedding. */
export function checkInherited(placed: readonly Placed[], findings: Finding[]): void {
  for (const { connector, spot, stages } of placed) {
    if (connector.kind !== "sink") continue;
    const own = connector.transforms.map((stage, at) => ({ stage, spot: stages[at] ?? spot }));
    for (const one of own) compareToSink(connector, one, "own", findings);
    for (const before of upstream(connector.from, placed))
      for (const [at, stage] of before.connector.transforms.entries())
        compareToSink(
          connector,
          { stage, spot: before.stages[at] ?? before.spot },
          "other",
          findings,
        );
  }
}

function compareToSink(
  sink: SinkConnector,
  { stage, spot }: { readonly stage: Stage; readonly spot: Spot },
  whose: "own" | "other",
  findings: Finding[],
): void {
  const wanted = withoutSecrets(sink.sink.config, sink.config);
  const actual = withoutSecrets(stage.transform.config, stage.config);
  for (const key of sink.sink.inherit ?? []) {
    const [theirs, ours] = [actual[key], wanted[key]];
    if (theirs === undefined || ours === undefined || canonicalJson(theirs) === canonicalJson(ours))
      continue;
    findings.push(
      findingAt(
        below(spot, "config", key),
        {
          path: [],
          code: "config.differs-from-sink",
          message: `${stage.use} has ${key} ${show(theirs)}, but ${sink.sink.name} has ${show(ours)}.`,
          fix:
            whose === "own"
              ? `Remove ${show(key)} here: the transform takes the sink's.`
              : `Write the same ${show(key)} here as in ${show(sink.name)}.`,
        },
        sink.name,
      ),
    );
  }
}

/** A parsed config as it may be compared and shown. */
export function withoutSecrets(
  schema: Stage["transform"]["config"],
  config: unknown,
): Readonly<Record<string, unknown>> {
  const shown = mapMarked(schema, config, "secret", () => undefined);
  return shown !== null && typeof shown === "object" ? { ...shown } : {};
}
