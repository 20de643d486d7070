import assert from "node:assert/strict";
import { z } from "zod";
import type { Connector } from "../connector.ts";

/** One case of a kit: give it to any test runner, e.g. `it(name, run)`. */
export interface Case {
  readonly name: string;
  readonly run: () => Promise<void>;
}

/** What every kind of connector is asked: does it say what it is, and refuse what it should? */
export function definitionCases(connector: Connector, config: Record<string, unknown>): Case[] {
  const schema = z.toJSONSchema(connector.config, { io: "input", unrepresentable: "any" });
  const refuses = (changed: Record<string, unknown>) =>
    assert.ok(!connector.config.safeParse(changed).success, "accepted a wrong config");
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
      run: async () => assert.deepEqual(undescribed(schema), []),
    },
    {
      name: "accepts a good config",
      run: async () => void connector.config.parse(config),
    },
    {
      name: "refuses an unknown option",
      run: async () => refuses({ ...config, "no-such-option": 1 }),
    },
    ...(schema.required ?? []).map((option) => ({
      name: `refuses a config without "${option}"`,
      run: async () => {
        const { [option]: _, ...others } = config;
        refuses(others);
      },
    })),
  ];
}

function undescribed(schema: z.core.JSONSchema.JSONSchema): string[] {
  return Object.entries(schema.properties ?? {})
    .filter(([, option]) => typeof option === "boolean" || !option.description)
    .map(([name]) => name);
}

let words = 0;

/** A word that occurs nowhere else: cases share one origin or target and tell their own by it. */
export function word(): string {
  words += 1;
  return `kit${process.pid.toString(36)}x${words.toString(36)}x`;
}
