import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { Connector } from "../connector.ts";
import type { Extension } from "../extension.ts";

/** One case of a kit: give it to any test runner, e.g. `it(name, run)`. */
export interface Case {
  readonly name: string;
  readonly run: () => Promise<void>;
}

/**
 * Something wrong with the other side of a connector, which the kit begins and ends: a server of the test answers 503, or
 * not at all; a folder goes and comes back.
 */
export interface Outage {
  /** From when it resolves on, every request meets it. */
  readonly begin: () => Promise<void> | void;
  /** Once it resolves, all is as before, and what was held up is answered or cut off. */
  readonly end: () => Promise<void> | void;
}

/** A connector's options as a config file would write them. */
export type WrittenConfig = Readonly<Record<string, unknown>>;

/** What everything that has a config is asked: does it say what it is, and refuse what it should? */
export function definitionCases(
  connector: Pick<Connector | Extension, "name" | "version" | "summary" | "config">,
  config: WrittenConfig,
): readonly Case[] {
  const schema = z.toJSONSchema(connector.config, { io: "input", unrepresentable: "any" });
  const options = Object.entries(schema.properties ?? {});
  const takes = (changed: unknown) => connector.config.safeParse(changed).success;
  return [
    {
      name: "has a kebab-case name, a semantic version and a summary",
      run: async () => {
        assert.match(connector.name, /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/);
        assert.match(connector.version, /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/);
        assert.ok(connector.summary.trim().length > 0, "the summary is empty");
      },
    },
    {
      name: "describes every option",
      run: async () => {
        const mute = options.filter(([, one]) => typeof one === "boolean" || !one.description);
        assert.deepEqual(
          mute.map(([name]) => name),
          [],
        );
      },
    },
    {
      name: "accepts a good config",
      run: async () => void connector.config.parse(config),
    },
    {
      name: "refuses an unknown option",
      run: async () => assert.ok(!takes({ ...config, "no-such-option": 1 }), "accepted it"),
    },
    {
      name: "refuses a config that lacks what it requires",
      run: async () => {
        const lacking = (schema.required ?? []).filter((option) => {
          const { [option]: _, ...others } = config;
          return takes(others);
        });
        assert.deepEqual(lacking, [], "accepted a config without");
      },
    },
    {
      name: "refuses wrong values of every option",
      run: async () => {
        const lax = options.filter(([name]) =>
          wrongValues.every((value) => takes({ ...config, [name]: value })),
        );
        assert.deepEqual(
          lax.map(([name]) => name),
          [],
          "accepted whatever they were given",
        );
      },
    },
  ];
}

/** No option takes all of these, unless it takes anything. */
const wrongValues = [null, true, -0.5, "", [[null]], { "no such option": null }];

let words = 0;

/** A word that occurs nowhere else, in no other word either: cases share one origin or target and tell their own by it. */
export function word(): string {
  words += 1;
  return `kit${process.pid.toString(32)}x${words.toString(32)}x`; // no number in base 32 has an x
}

/** Looks until it does not throw; for a while. */
export async function settles(patienceMs: number, look: () => Promise<void>): Promise<void> {
  const end = performance.now() + patienceMs;
  for (;;) {
    try {
      return await look();
    } catch (error) {
      if (performance.now() > end) throw error;
      await sleep(50);
    }
  }
}

/** Does something while an outage lasts, and ends it whatever happens. */
export async function through(outage: Outage, use: () => Promise<void>): Promise<void> {
  await outage.begin();
  try {
    await use();
  } finally {
    await outage.end();
  }
}

/** What it resolves to; fails when it takes longer. */
export async function within<T>(ms: number, promised: Promise<T>, what = "it"): Promise<T> {
  const timer = new AbortController();
  const { signal } = timer;
  const late = sleep(ms, undefined, { signal }).then(() =>
    assert.fail(`${what} took more than ${ms} ms`),
  );
  try {
    return await Promise.race([promised, late]);
  } finally {
    late.catch(() => {}); // it came in time
    timer.abort();
  }
}
