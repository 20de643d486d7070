import { fileURLToPath } from "node:url";
import { openEmbeddedState } from "../../state/embedded/index.ts";
import { actAsChild } from "../conformance-child.ts";
import type { Party, PartyOptions } from "../conformance.ts";
import { openEmbeddedTopics } from "./index.ts";

/** A process of the suite on the file in `dir`; run as a script, a child that consumes. */
export function openParty(dir: string, options: PartyOptions): Party {
  const { leaseMs, writeTimeoutMs, ...settings } = options;
  const state = openEmbeddedState({ dir });
  const topics = openEmbeddedTopics({
    dir,
    project: "sluice",
    settings: () => settings,
    scope: state.scope,
    log: { debug() {}, info() {}, warn() {}, error() {} },
    leaseMs,
    writeTimeoutMs,
  });
  return { topics, state };
}

const [, script, dir = ""] = process.argv;
if (script === fileURLToPath(import.meta.url))
  await actAsChild(async (options) => openParty(dir, options));
