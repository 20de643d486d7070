import { inspect } from "node:util";
import type { Finding } from "../core/connector.ts";
import { ConfigError, SluiceError } from "../core/errors.ts";
import { printable } from "./printable.ts";

/** How commands speak: to a person, or with `--json` in exactly one object on stdout. */
export interface Output {
  readonly isJson: boolean;
  /** Stdout is a terminal that may be drawn on. */
  readonly isLive: boolean;
  /** Colours a text, where colours are wanted. */
  readonly paint: (style: Style, text: string) => string;
  /** The command's answer: `human` writes it for a person. Not ok: it found something wrong, and says so. */
  readonly result: (
    command: string,
    result: unknown,
    human: () => string,
    verdict?: { readonly isOk: boolean },
  ) => void;
  readonly failure: (command: string, error: unknown) => void;
  /** Of an answer that has no end, a line for a person. */
  readonly line: (text: string) => void;
  /** For people only, on stderr: it is no part of the answer. */
  readonly note: (text: string) => void;
}

export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

const codes: Readonly<Record<Style, readonly [on: number, off: number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

export function openOutput(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Output {
  const own = args.includes("--") ? args.slice(0, args.indexOf("--")) : args;
  const isJson = own.includes("--json");
  const isTerminal = process.stdout.isTTY && env["TERM"] !== "dumb";
  const isColoured = isTerminal && !own.includes("--no-color") && !env["NO_COLOR"];
  const paint = (style: Style, text: string) =>
    isColoured ? `\u001b[${codes[style][0]}m${text}\u001b[${codes[style][1]}m` : text;
  const answer = (value: object) => process.stdout.write(`${JSON.stringify(value, plain)}\n`);

  return {
    isJson,
    isLive: isTerminal && !isJson,
    paint,
    result: (command, result, human, { isOk } = { isOk: true }) => {
      if (isJson) answer({ command, ok: isOk, result });
      else process.stdout.write(`${printable(human())}\n`);
    },
    failure: (command, error) => {
      if (isJson) answer({ command, ok: false, error: describe(error) });
      else process.stderr.write(`${printable(failureText(error, paint))}\n`);
    },
    line: (text) => void process.stdout.write(`${printable(text)}\n`),
    note: (text) => {
      if (!isJson) process.stderr.write(`${printable(text)}\n`);
    },
  };
}

/** One block a finding: glyph, code and path; the message; the fix. */
export function findingBlocks(findings: readonly Finding[], paint: Output["paint"]): string {
  return findings
    .map(({ severity, code, path = "", message, fix }) => {
      const glyph = {
        ok: paint("green", "✓"),
        warning: paint("yellow", "!"),
        error: paint("red", "✗"),
      };
      const lines = [
        `${glyph[severity]} ${paint("bold", code)}   ${path}`.trimEnd(),
        `    ${message}`,
      ];
      if (fix !== undefined)
        lines.push(`    ${paint("cyan", "→")} ${fix.replaceAll("\n", "\n      ")}`);
      return lines.join("\n");
    })
    .join("\n\n");
}

function describe(error: unknown): object {
  if (!(error instanceof Error)) return { code: "foreign", message: String(error) };
  const { code = "foreign", fix, findings } = error as Partial<ConfigError>;
  return {
    code,
    message: error.message,
    ...(error instanceof SluiceError && { cause: causeOf(error) }),
    ...(fix !== undefined && { fix }),
    ...(findings !== undefined && findings.length > 0 && { findings }),
  };
}

function failureText(error: unknown, paint: Output["paint"]): string {
  if (error instanceof ConfigError && error.findings.length > 0) {
    const count = `${error.findings.length} problem${error.findings.length === 1 ? "" : "s"}`;
    return `${findingBlocks(error.findings, paint)}\n\n${paint("red", count)}`;
  }
  if (error instanceof SluiceError) {
    const { code, message, fix } = error;
    const why = causeOf(error);
    const cause = why === undefined ? "" : `\n    (${why})`;
    return `${findingBlocks([{ severity: "error", code, message, ...(fix && { fix }) }], paint)}${cause}`;
  }
  // A foreign error is a bug of ours: its stack is what helps.
  return `${paint("red", "✗")} ${inspect(error)}`;
}

/** What is behind an error, in a line: `fetch failed: connect ECONNREFUSED 127.0.0.1:9`. */
function causeOf({ cause }: Error, depth = 0): string | undefined {
  if (!(cause instanceof Error)) return typeof cause === "string" ? cause : undefined;
  // One that stands for several says nothing itself.
  const { message, code = cause.name } = cause as NodeJS.ErrnoException;
  const behind = depth < 5 ? causeOf(cause, depth + 1) : undefined;
  return [message || code, ...(behind === undefined ? [] : [behind])].join(": ");
}

function plain(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
