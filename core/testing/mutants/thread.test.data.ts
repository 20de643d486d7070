import { parentPort, workerData } from "node:worker_threads";
import { caughtBy, kitOf, type Kind } from "./kits.test.data.ts";

// Some cases of a kit in a thread of their own, for those that look at all that is held: there they see nobody else's.

export interface Order {
  readonly kind: Kind;
  readonly fault?: string;
  readonly dir: string;
  readonly names: readonly string[];
}

const { kind, fault, dir, names } = workerData as Order; // as table.test.ts gives it
const cases = await kitOf(kind, fault, dir);
const caught = await caughtBy(cases.filter(({ name }) => names.includes(name)));
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
parentPort?.postMessage(caught);
