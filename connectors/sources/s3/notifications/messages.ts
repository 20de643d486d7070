import type { Hint } from "./hints.ts";

/** A message that was received and not yet deleted. */
export interface Message {
  readonly id: string;
  /** What deletes it, or hides it for longer. */
  readonly receipt: string;
  /** `Date.now()` when it was sent. */
  readonly sentAt: number;
  readonly hints: readonly Hint[];
  /** Keys of its hints that were not looked at yet. */
  readonly owed: Set<string>;
}
