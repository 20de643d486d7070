import { dirname, resolve } from "node:path";
import type { Finding } from "../connector.ts";
import { ConfigError } from "../errors.ts";
import type { Catalog } from "./catalog.ts";
import { placeConnector, type Placed } from "./connectors.ts";
import { below, expandedAt, findingAt, findingsAt, readDocument, type Spot } from "./document.ts";
import { pipelineFile } from "./file.ts";
import { checkFlow, checkLoops, checkRead } from "./flow.ts";
import { checkInherited } from "./inherited.ts";
import { problemsOf } from "./issues.ts";
import type { Pipeline } from "./pipeline.ts";
import { checkReaders } from "./readers.ts";
import { settingsOf, topicsOf, type SettingsFile } from "./settings.ts";
import { typed } from "./typed.ts";

export interface LoadOptions {
  /** What `${NAME}` is looked up in, and `SLUICE_QUEUE`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly catalog: Catalog;
  /** Wins over what the files say. */
  readonly queue?: string;
  /** Wins over what the files say. */
  readonly project?: string;
}

/** A pipeline with what is doubtful about it but may be meant. */
export interface LoadedPipeline extends Pipeline {
  /** As they were named. */
  readonly files: readonly string[];
  readonly warnings: readonly Finding[];
}

/**
 * Reads config files, each a pipeline or one connector, into one pipeline. Throws one `ConfigError`
 * (`config.invalid`) with every problem of every file, ordered by path. Nothing is contacted; only
 * the modules of the connectors that are named are loaded.
 */
export async function loadPipeline(
  files: readonly string[],
  options: LoadOptions,
): Promise<LoadedPipeline> {
  const { env, catalog } = options;
  const findings: Finding[] = [];
  const settingsFiles: SettingsFile[] = [];
  const spots: Spot[] = [];
  for (const name of files) {
    const document = readDocument(name, env, findings);
    if (!document) continue;
    const spot = { document, path: [] };
    if (isConnector(document.value)) {
      spots.push(spot);
      continue;
    }
    const { written } = document;
    const parsed = pipelineFile.safeParse(typed(pipelineFile, written, document.value));
    if (parsed.success) settingsFiles.push({ spot, file: parsed.data });
    else {
      findings.push(
        ...findingsAt(spot, problemsOf(parsed.error, { schema: pipelineFile, written })),
      );
    }
    const list = expandedAt(below(spot, "connectors"));
    if (Array.isArray(list))
      spots.push(...[...list.keys()].map((at) => below(spot, "connectors", at)));
  }

  const placed: Placed[] = [];
  for (const spot of spots) {
    const one = await placeConnector(spot, catalog, findings);
    if (one) placed.push(one);
  }
  checkNames(spots, findings);

  const home = files[0] === undefined ? process.cwd() : dirname(resolve(files[0]));
  const settings = settingsOf(settingsFiles, { ...options, home }, findings);
  const connectors = placed.map(({ connector }) => connector);
  const topics = topicsOf(settingsFiles, topicNames(connectors), findings);
  // Where a connector is missing, what flows past it is not known.
  if (placed.length === spots.length) {
    await checkFlow(placed, catalog, findings);
    checkRead(placed, topics, findings);
  }
  checkLoops(placed, findings);
  checkInherited(placed, findings);
  await checkReaders(placed, catalog, findings);

  const errors = findings.filter(({ severity }) => severity === "error");
  if (errors.length > 0) throw invalid(errors);
  const warnings = findings.filter(({ severity }) => severity === "warning").toSorted(byPath);
  return { ...settings, topics, connectors, warnings, files };
}

function invalid(errors: readonly Finding[]): ConfigError {
  return new ConfigError(
    errors.length === 1 ? "config: 1 problem." : `config: ${errors.length} problems.`,
    {
      code: "config.invalid",
      findings: errors.toSorted(byPath),
      fix: "Correct what the findings name; `sluice validate` shows them all.",
    },
  );
}

const order = new Intl.Collator("en", { numeric: true });

function byPath(a: Finding, b: Finding): number {
  return order.compare(a.path ?? "", b.path ?? "");
}

/** A file without `connectors` that says what it is, or has a name, is one connector. */
function isConnector(value: unknown): boolean {
  return (
    value !== null &&
    typeof value === "object" &&
    !("connectors" in value) &&
    ["source", "transform", "sink", "name"].some((key) => key in value)
  );
}

function checkNames(spots: readonly Spot[], findings: Finding[]): void {
  const seen = new Set<unknown>();
  for (const spot of spots) {
    const name = expandedAt(below(spot, "name"));
    if (typeof name === "string" && seen.has(name))
      findings.push(
        findingAt(
          below(spot, "name"),
          {
            path: [],
            code: "config.duplicate-name",
            message: `another connector is named ${JSON.stringify(name)} too.`,
            fix: "Give each connector a name of its own.",
          },
          name,
        ),
      );
    seen.add(name);
  }
}

function topicNames(connectors: Pipeline["connectors"]): readonly string[] {
  return connectors.flatMap((connector) => [
    ...(connector.kind === "source" ? [] : connector.from),
    ...(connector.kind === "sink" ? [] : [connector.to]),
  ]);
}
