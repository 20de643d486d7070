import type { Doubts } from "./doubts.ts";
import type { Failures } from "./failures.ts";
import type { Limit } from "./limit.ts";
import type { Memory } from "./memory.ts";

/** What the source's state holds. */
export interface Notes {
  readonly memory: Memory;
  readonly doubts: Doubts;
  readonly failures: Failures;
  readonly limit: Limit;
}
