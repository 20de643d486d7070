import { join, resolve } from "node:path";
import type { z } from "zod";
import type { Finding } from "../connector.ts";
import type { TopicSettings } from "../queue/queue.ts";
import { canonicalJson } from "./canonical.ts";
import { below, findingAt, writtenAt, type Spot } from "./document.ts";
import { pipelineFile } from "./file.ts";
import { problemsOf } from "./issues.ts";
import type { Place } from "./pipeline.ts";
import { show } from "./show.ts";

type File = z.output<typeof pipelineFile>;

/** A file that says more than one connector. */
export interface SettingsFile {
  readonly spot: Spot;
  readonly file: File;
}

export interface SettingsOptions {
  /** Where `embedded` puts `.sluice`: the first file's folder. */
  readonly home: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly queue?: string;
  readonly project?: string;
}

/**
 * What the files say about the whole: once, or the same in each. An option wins over the files, the
 * files over `SLUICE_QUEUE`.
 */
export function settingsOf(
  files: readonly SettingsFile[],
  options: SettingsOptions,
  findings: Finding[],
): { readonly project: string; readonly queue: Place; readonly state: Place } {
  const { home } = options;
  const say = (key: "project" | "queue" | "state") => agreed(files, key, home, findings);
  const given = <K extends "project" | "queue">(key: K, text: string | undefined, from: string) => {
    if (text === undefined || text === "") return undefined;
    const parsed = pipelineFile.shape[key].safeParse(text);
    if (parsed.success) return parsed.data;
    for (const problem of problemsOf(parsed.error, {
      schema: pipelineFile.shape[key],
      written: text,
    }))
      findings.push({
        severity: "error",
        code: problem.code,
        path: from,
        message: problem.message.replace("the value", from),
        fix: problem.fix,
      });
    return undefined;
  };
  const place = (text: string | undefined) =>
    text === undefined ? undefined : toPlace(text, { dir: process.cwd(), home });

  const project = given("project", options.project, "--project") ?? say("project")?.value;
  const said = say("queue")?.place;
  const queue =
    place(given("queue", options.queue, "--queue")) ??
    said ??
    place(given("queue", options.env["SLUICE_QUEUE"], "SLUICE_QUEUE")) ??
    toPlace("embedded", { dir: home, home });
  return { project: project ?? "sluice", queue, state: say("state")?.place ?? queue };
}

/** Topics with their settings, defaults filled in. */
export function topicsOf(
  files: readonly SettingsFile[],
  names: Iterable<string>,
  findings: Finding[],
): Readonly<Record<string, TopicSettings>> {
  const said = new Map<string, Record<string, number | boolean>>();
  for (const { spot, file } of files)
    for (const [topic, settings] of Object.entries(file.topics ?? {})) {
      const known = said.get(topic) ?? {};
      said.set(topic, known);
      for (const [key, value] of Object.entries(settings)) {
        if (value === undefined) continue;
        const other = known[key];
        if (other !== undefined && other !== value)
          findings.push(disagreement(below(spot, "topics", topic, key), key, value, other));
        known[key] = value;
      }
    }
  const topics = [...new Set([...said.keys(), ...names])].map(
    (name) =>
      [name, { partitions: 4, optional: false, maxWaiting: 100, ...said.get(name) }] as const,
  );
  return Object.fromEntries(topics);
}

function agreed(
  files: readonly SettingsFile[],
  key: "project" | "queue" | "state",
  home: string,
  findings: Finding[],
): { readonly value: string; readonly place: Place } | undefined {
  let first:
    | { readonly value: string; readonly place: Place; readonly written: unknown }
    | undefined;
  for (const { spot, file } of files) {
    const value = file[key];
    if (value === undefined) continue;
    const place = toPlace(value, { dir: spot.document.dir, home });
    const same = key === "project" ? first?.value === value : isSame(first?.place, place);
    // As it is written: what a variable holds may be a secret.
    const written = writtenAt(below(spot, key));
    if (first && !same) findings.push(disagreement(below(spot, key), key, written, first.written));
    first ??= { value, place, written };
  }
  return first;
}

function isSame(a: Place | undefined, b: Place): boolean {
  return canonicalJson(a) === canonicalJson(b);
}

function disagreement(spot: Spot, key: string, value: unknown, other: unknown): Finding {
  return findingAt(spot, {
    path: [],
    code: "config.disagreement",
    message: `${key} is ${show(value)} here and ${show(other)} in an earlier file.`,
    fix: "Say it in one file only, or the same in each.",
  });
}

function toPlace(text: string, from: { readonly dir: string; readonly home: string }): Place {
  if (text === "embedded") return { kind: "embedded", dir: join(from.home, ".sluice") };
  return text.startsWith("embedded:")
    ? { kind: "embedded", dir: resolve(from.dir, text.slice("embedded:".length)) }
    : { kind: "redis", url: text };
}
