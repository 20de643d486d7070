import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Finding } from "../connector.ts";
import { expand, type Expansion, type Gap } from "./expand.ts";
import type { Problem } from "./issues.ts";
import { toJsonPath, valueAt, type Path } from "./json-path.ts";
import { syntaxErrorAt, tooDeepAt } from "./syntax.ts";

/** A config file that was read. */
export interface Document {
  /** As the user named it. */
  readonly file: string;
  readonly dir: string;
  /** As it stands in the file: what messages may show. */
  readonly written: unknown;
  /** With `${…}` replaced. */
  readonly value: unknown;
  /** Values that could not be expanded: reported already. */
  readonly gaps: readonly Gap[];
}

/** A place in a document. */
export interface Spot {
  readonly document: Document;
  readonly path: Path;
}

const deepest = 100;

export function below(spot: Spot, ...keys: Path): Spot {
  return { document: spot.document, path: [...spot.path, ...keys] };
}

export function expandedAt(spot: Spot): unknown {
  return valueAt(spot.document.value, spot.path);
}

export function writtenAt(spot: Spot): unknown {
  return valueAt(spot.document.written, spot.path);
}

/** Reads, parses and expands a file; what is wrong goes to `findings`. */
export function readDocument(
  file: string,
  env: Expansion["env"],
  findings: Finding[],
): Document | undefined {
  const path = resolve(file);
  let text: string;
  try {
    text = readFileSync(path, "utf8").replace(/^\uFEFF/, "");
  } catch (error) {
    findings.push({
      severity: "error",
      code: "config.unreadable-file",
      path: file,
      message: `config: the file ${JSON.stringify(file)} cannot be read (${(error as NodeJS.ErrnoException).code}).`,
      fix: "Correct the path; without one, sluice.json of this folder is read.",
    });
    return undefined;
  }
  // What walks a config calls itself at every level.
  const deep = tooDeepAt(text, deepest);
  if (deep) {
    findings.push({
      severity: "error",
      code: "config.too-deep",
      path: file,
      message: `config: nests deeper than ${deepest} levels at line ${deep.line}, column ${deep.column}.`,
      fix: "Write it flatter.",
    });
    return undefined;
  }
  let written: unknown;
  try {
    written = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which may hold a secret, and may lack the place.
    const { line, column } = syntaxErrorAt(text);
    findings.push({
      severity: "error",
      code: "config.bad-json",
      path: file,
      message: `config: not JSON at line ${line}, column ${column}.`,
      fix: "Correct the JSON there: often a comma too many or too few, or a comment.",
    });
    return undefined;
  }
  const dir = dirname(path);
  const { value, gaps } = expand(written, { env, dir });
  const document = { file, dir, written, value, gaps };
  for (const gap of gaps)
    findings.push(findingAt({ document, path: [] }, gap, ownerOf(written, gap.path)));
  return document;
}

/** A finding about something at or below `spot`. */
export function findingAt(
  spot: Spot,
  problem: Problem & { readonly severity?: "warning" },
  owner = "config",
): Finding {
  const place = toJsonPath([...spot.path, ...problem.path]);
  return {
    severity: problem.severity ?? "error",
    code: problem.code,
    path: place ? `${spot.document.file}: ${place}` : spot.document.file,
    message: `${owner}: ${problem.message}`,
    fix: problem.fix,
  };
}

/** Findings about `spot`, without those about a value that could not be expanded. */
export function findingsAt(
  spot: Spot,
  problems: readonly Problem[],
  owner?: string,
): readonly Finding[] {
  const gaps = spot.document.gaps.map((gap) => toJsonPath(gap.path));
  return problems
    .filter((problem) => !gaps.includes(toJsonPath([...spot.path, ...problem.path])))
    .map((problem) => findingAt(spot, problem, owner));
}

/** Whom a message is about: the connector's name, where it has one. */
function ownerOf(written: unknown, path: Path): string {
  const name = valueAt(
    written,
    path[0] === "connectors" ? [...path.slice(0, 2), "name"] : ["name"],
  );
  return typeof name === "string" ? name : "config";
}
