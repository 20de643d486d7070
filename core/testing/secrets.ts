import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { z } from "zod";
import { mapMarked, redact, secretsIn } from "../config/marks.ts";
import type { Config, Connector } from "../connector.ts";
import { within, word, type Case, type WrittenConfig } from "./conformance.ts";
import { context, type FakeContext } from "./fakes/context.ts";
import { entriesOf, overhear } from "./overheard.ts";

const patienceMs = 1_500;
/** For all that was begun to end after its abort; other cases ask for a second. */
const endsWithinMs = 5_000;

/**
 * Has a connector work with secrets that nobody knows, which mostly means that it is refused, then with those it was given,
 * and looks for them in all that it says. No case where no option is marked `secret`.
 */
export function secretCases(
  connector: {
    readonly name: string;
    readonly config: Config;
    readonly check?: Connector["check"];
  },
  config: WrittenConfig,
  use: (context: FakeContext<unknown>) => Promise<readonly unknown[] | void>,
): readonly Case[] {
  const ways = [withMarks(connector.config, config), asGiven(connector, config)];
  if (ways.every(({ secrets }) => secrets.length === 0)) return [];
  return [
    {
      name: "tells no secret, in no line, error, finding, counter, state or output",
      run: async () => {
        for (const { written, secrets } of ways)
          if (secrets.length > 0) await keeps(secrets, written);
      },
    },
  ];

  async function keeps(secrets: readonly string[], written: unknown): Promise<void> {
    const aborter = new AbortController();
    const { signal } = aborter;
    const here = context({ config: connector.config.parse(written), signal });
    const said: unknown[] = [];
    const tried = (call: Promise<unknown> | undefined) =>
      Promise.resolve(call).then(
        (answer) => said.push(answer),
        (error: unknown) => said.push(error),
      );
    const overheard = overhear();
    const work = Promise.all([tried(connector.check?.(here)), tried(use(here))]);
    await Promise.race([work, sleep(patienceMs, undefined, { ref: false })]);
    aborter.abort();
    const what = "to end after the abort of its signal (pass `signal` to all that waits)";
    await within(endsWithinMs, work, what).finally(overheard.end);
    const kept = await entriesOf(here.state);
    const counted = [...here.counters.keys()];
    assertUntold(secrets, {
      "what it answered or threw": said,
      "its log": here.lines,
      "its counters": counted,
      "its state": kept,
      "the process's output": overheard.written(),
    });
  }
}

/** Asserts that none of the secrets a connector was given is in what it said, by where it said it. */
export function assertKept(
  connector: { readonly name: string; readonly config: Config },
  config: WrittenConfig,
  said: Readonly<Record<string, unknown>>,
): void {
  assertUntold(asGiven(connector, config).secrets, said);
}

function assertUntold(secrets: readonly string[], said: Readonly<Record<string, unknown>>): void {
  if (secrets.length === 0) return;
  for (const [where, what] of Object.entries(said)) {
    const all = inspect(what, { depth: 12, maxStringLength: 10_000, maxArrayLength: 1_000 });
    for (const text of [all, ...decoded(all)])
      for (const secret of secrets) {
        const at = text.indexOf(secret);
        if (at < 0) continue;
        const around = text.slice(Math.max(0, at - 300), at + 100).replaceAll(secret, "***");
        assert.fail(`told a secret (*** below) in ${where}: ${around}`);
      }
  }
}

/** What was encoded as Base64 in a text: `user:password` is in headers. */
function decoded(text: string): readonly string[] {
  return (text.match(/[\w+/-]{12,}/g) ?? []).map((part) => String(Buffer.from(part, "base64")));
}

/** The config with a word of its own for every secret, and for those it might have besides. */
function withMarks(schema: Config, config: WrittenConfig) {
  const json = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  let written: WrittenConfig = config;
  for (const [name, option] of Object.entries(json.properties ?? {})) {
    if (name in config || typeof option === "boolean" || option["secret"] !== true) continue;
    const more = { ...written, [name]: word() };
    if (schema.safeParse(more).success) written = more;
  }
  const secrets: string[] = [];
  const marked = mapMarked(schema, written, "secret", (part) => withMark(part, secrets));
  if (schema.safeParse(marked).success) return { written: marked, secrets };
  return { written, secrets: [] }; // they must look like something: then as they are
}

/** The config as it is, with those of its secrets that can be told from what else stands there. */
function asGiven(
  { name, config: schema }: { readonly name: string; readonly config: Config },
  written: WrittenConfig,
) {
  const known = `${name} ${JSON.stringify(redact(schema, written))}`.toLowerCase();
  const secrets = secretsIn(schema, written)
    .map((secret) =>
      /^[\w+.-]+:\/\//.test(secret) && URL.canParse(secret) ? new URL(secret).password : secret,
    )
    .filter((secret) => secret.length >= 8 && !known.includes(secret.toLowerCase()));
  return { written, secrets };
}

function withMark(part: unknown, secrets: string[]): unknown {
  if (typeof part === "string") {
    const secret = word();
    secrets.push(secret);
    if (!part.includes("://")) return secret;
    const url = new URL(part);
    url.password = secret;
    if (url.username === "") url.username = "kit";
    return url.href;
  }
  if (part === null || typeof part !== "object") return part;
  const entries = Object.entries(part).map(([key, one]) => [key, withMark(one, secrets)] as const);
  return Array.isArray(part) ? entries.map(([, one]) => one) : Object.fromEntries(entries);
}
