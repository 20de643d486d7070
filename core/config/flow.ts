import type { Finding } from "../connector.ts";
import type { JsonObject } from "../event.ts";
import type { Catalog } from "./catalog.ts";
import type { Placed } from "./connectors.ts";
import { below, findingAt, type Spot } from "./document.ts";
import { show } from "./show.ts";
import type { Pipeline, ResolvedConnector, TransformConnector } from "./pipeline.ts";

type Consumer = Exclude<ResolvedConnector, { kind: "source" }>;

/**
 * Follows event types along the topics that connectors of these files produce: what reaches a stage
 * or a sink must be something it accepts. A topic that nobody here produces is a warning.
 */
export async function checkFlow(
  placed: readonly Placed[],
  catalog: Catalog,
  findings: Finding[],
): Promise<void> {
  const carried = topicTypes(placed.map(({ connector }) => connector));
  for (const { connector, spot, stages } of placed) {
    if (connector.kind === "source") continue;
    for (const topic of connector.from) {
      const types = carried(topic);
      // `sluice ask` publishes there.
      if (types === undefined && takes(connector, question)) continue;
      if (types === undefined) {
        findings.push(
          findingAt(
            below(spot, "from"),
            {
              severity: "warning",
              path: [],
              code: "config.no-producer",
              message: `no connector of these files publishes to ${show(topic)}.`,
              fix: "Start its producer elsewhere, or correct the topic's name.",
            },
            connector.name,
          ),
        );
        continue;
      }
      let arriving = admitted(connector, types);
      for (const step of stepsOf(connector, spot, stages)) {
        const alien = arriving.find((type) => !step.accepts.some((taken) => meet(type, taken)));
        if (alien !== undefined) {
          const by =
            arriving === types ? `topic ${show(topic)} carries` : "what comes before emits";
          findings.push(
            findingAt(
              step.spot,
              {
                path: [],
                code: "config.type-mismatch",
                message: `${by} ${shown(alien)}, but ${step.type} takes ${step.accepts.map(shown).join(", ")}.`,
                fix: await mend(alien, step, catalog),
              },
              connector.name,
            ),
          );
          break;
        }
        arriving = passed(arriving, step.emits);
      }
    }
  }
}

const question = "dev.sluice.question.asked";

/** True when a connector is made for events of a type, and not for any. */
export function takes(connector: ResolvedConnector, type: string): boolean {
  if (connector.kind === "source") return false;
  const stages = connector.transforms.map(({ transform }) => transform);
  const own = connector.kind === "sink" ? [...stages, connector.sink] : stages;
  const first = own.find(({ accepts }) => !accepts.includes(""));
  return first?.accepts.some((prefix) => type.startsWith(prefix)) ?? false;
}

/** A topic that nobody subscribes to holds back whoever publishes to it (Invariant 4): a warning. */
export function checkRead(
  placed: readonly Placed[],
  topics: Pipeline["topics"],
  findings: Finding[],
): void {
  const read = new Set(
    placed.flatMap(({ connector }) => (connector.kind === "source" ? [] : connector.from)),
  );
  for (const { connector, spot } of placed) {
    if (connector.kind === "sink") continue;
    const { name, to } = connector;
    if (read.has(to) || topics[to]?.optional === true) continue;
    const optional = `"topics": { ${show(to)}: { "optional": true } }`;
    findings.push(
      findingAt(
        below(spot, "to"),
        {
          severity: "warning",
          path: [],
          code: "config.no-consumer",
          message: `no connector of these files reads ${show(to)}: until one subscribes, it is held back.`,
          fix: `Start its consumer elsewhere, correct the topic's name, or declare it: ${optional}.`,
        },
        name,
      ),
    );
  }
}

/** A topic that leads back to itself would carry its events round for ever, unless nothing comes of them. */
export function checkLoops(placed: readonly Placed[], findings: Finding[]): void {
  const carried = topicTypes(placed.map(({ connector }) => connector));
  const passing = (connector: TransformConnector) =>
    connector.from.filter((topic) => !isAbsorbed(connector, carried(topic) ?? [""]));
  for (const one of placed) {
    const { connector, spot } = one;
    if (connector.kind !== "transform") continue;
    if (!upstream(passing(connector), placed, passing).some((other) => other === one)) continue;
    findings.push(
      findingAt(
        below(spot, "to"),
        {
          path: [],
          code: "config.loop",
          message: `what it publishes to ${show(connector.to)} comes back to it.`,
          fix: "Publish to a topic that leads to no topic of its `from`.",
        },
        connector.name,
      ),
    );
  }
}

/** Neither events of these types nor deletes and clears, which pass most stages by, ever leave the connector. */
function isAbsorbed(connector: TransformConnector, types: readonly string[]): boolean {
  let arriving = admitted(connector, types);
  let past: readonly string[] = ["dev.sluice.record.deleted", "dev.sluice.collection.cleared"];
  for (const { transform } of connector.transforms) {
    const { absorbs = [], emits } = transform;
    const left = (type: string) => !absorbs.some((prefix) => type.startsWith(prefix));
    past = past.filter(left);
    arriving = arriving.filter(left);
    if (arriving.length + past.length === 0) return true;
    if (arriving.length > 0) arriving = passed(arriving, emits);
  }
  return false;
}

/** The transform connectors that the events of some topics come through. `fromOf`: the topics of one that lead further. */
export function upstream(
  topics: readonly string[],
  placed: readonly Placed[],
  fromOf: (connector: TransformConnector) => readonly string[] = ({ from }) => from,
): readonly Placed<TransformConnector>[] {
  const found: Placed<TransformConnector>[] = [];
  const climb = (to: readonly string[]): void => {
    for (const one of placed)
      if (isTransform(one) && !found.includes(one) && to.includes(one.connector.to)) {
        found.push(one);
        climb(fromOf(one.connector));
      }
  };
  climb(topics);
  return found;
}

function isTransform(one: Placed): one is Placed<TransformConnector> {
  return one.connector.kind === "transform";
}

interface Step {
  readonly type: string;
  readonly accepts: readonly string[];
  readonly emits: readonly string[];
  readonly spot: Spot;
  /** Where a transform that mends the flow would go. */
  readonly place: string;
}

function stepsOf(connector: Consumer, spot: Spot, stages: readonly Spot[]): readonly Step[] {
  const steps = connector.transforms.map(({ use, transform }, at): Step => {
    const place = stages[at] ?? spot;
    const { accepts, emits } = transform;
    return {
      type: use,
      accepts,
      emits,
      spot: place === spot ? below(spot, "from") : below(place, "use"),
      place: place === spot ? "to its transforms" : `before ${show(use)}`,
    };
  });
  if (connector.kind === "transform") return steps;
  const { name: type, accepts } = connector.sink;
  return [
    ...steps,
    { type, accepts, emits: [], spot: below(spot, "from"), place: "to its transforms" },
  ];
}

/** Type prefixes on a topic; `undefined` when nobody here produces it. */
export function topicTypes(
  connectors: readonly ResolvedConnector[],
): (topic: string) => readonly string[] | undefined {
  const known = new Map<string, readonly string[] | undefined>();
  const typesOf = (topic: string): readonly string[] | undefined => {
    if (known.has(topic)) return known.get(topic);
    known.set(topic, []); // a loop of topics adds nothing to itself
    const producers = connectors.filter((one) => one.kind !== "sink" && one.to === topic);
    const types = producers.flatMap((connector) => {
      if (connector.kind === "source") return connector.source.emits.filter(isApplied);
      if (connector.kind === "sink") return [];
      const arriving = connector.from.flatMap((from) => typesOf(from) ?? [""]);
      return connector.transforms.reduce(
        (types, { transform }) => passed(types, transform.emits),
        admitted(connector, arriving),
      );
    });
    const result = producers.length === 0 ? undefined : [...new Set(types)];
    known.set(topic, result);
    return result;
  };
  return typesOf;
}

/** Deletes and clears reach no transform and are taken by every sink: they fit anywhere. */
function isApplied(type: string): boolean {
  return !/^dev\.sluice\.(record\.deleted|collection\.)/.test(type);
}

/** A prefix as people read it. */
function shown(type: string): string {
  return type === "" || type.endsWith(".") ? `${type}*` : type;
}

/** A filter that speaks of `type` narrows in ways not worth following: anything may come. */
function admitted(connector: Consumer, types: readonly string[]): readonly string[] {
  return mentionsType(connector.filter) ? [""] : types;
}

function mentionsType(filter: JsonObject | undefined): boolean {
  return filter !== undefined && JSON.stringify(filter).includes('"type":');
}

function passed(arriving: readonly string[], emits: readonly string[]): readonly string[] {
  return [...new Set(emits.flatMap((type) => (type === "" ? arriving : [type])))];
}

function meet(a: string, b: string): boolean {
  return a.startsWith(b) || b.startsWith(a);
}

/** Names the built-in transform that takes what comes and emits what is wanted. */
async function mend(alien: string, step: Step, catalog: Catalog): Promise<string> {
  for (const [name, load] of Object.entries(catalog.transforms)) {
    const { accepts, emits } = await load();
    const takes = accepts.some((type) => meet(type, alien));
    const gives = emits.some(
      (type) => type !== "" && step.accepts.some((want) => meet(type, want)),
    );
    if (takes && gives) return `Add { "use": ${show(name)} } ${step.place}.`;
  }
  return `Read a topic that carries ${step.accepts.map(shown).join(" or ")}.`;
}
