import type { Command } from "commander";
import type { Output } from "../output.ts";

/** The commands in the order of `--help`: one lazy line each, so that one that is named loads only itself. */
export const commands: Readonly<Record<string, () => Promise<(output: Output) => Command>>> = {
  start: async () => (await import("./start.ts")).start,
  validate: async () => (await import("./validate.ts")).validate,
  plan: async () => (await import("./plan.ts")).plan,
  check: async () => (await import("./check.ts")).check,
  status: async () => (await import("./status.ts")).status,
  pause: async () => (await import("./lifecycle.ts")).pause,
  resume: async () => (await import("./lifecycle.ts")).resume,
  stop: async () => (await import("./lifecycle.ts")).stop,
  restart: async () => (await import("./lifecycle.ts")).restart,
  snapshot: async () => (await import("./snapshot.ts")).snapshot,
  checkpoint: async () => (await import("./checkpoint.ts")).checkpoint,
  subscriptions: async () => (await import("./subscriptions.ts")).subscriptions,
  "dead-letters": async () => (await import("./dead-letters.ts")).deadLetters,
  remove: async () => (await import("./remove.ts")).remove,
  tap: async () => (await import("./tap.ts")).tap,
  publish: async () => (await import("./publish.ts")).publish,
  search: async () => (await import("./search.ts")).search,
  ask: async () => (await import("./ask.ts")).ask,
  feedback: async () => (await import("./feedback.ts")).feedback,
  verify: async () => (await import("./verify.ts")).verify,
  erase: async () => (await import("./erase.ts")).erase,
  connectors: async () => (await import("./connectors.ts")).connectors,
  schema: async () => (await import("./schema.ts")).schema,
  pinecone: async () => (await import("./pinecone.ts")).pinecone,
  init: async () => (await import("./init.ts")).init,
  demo: async () => (await import("./demo.ts")).demo,
};
