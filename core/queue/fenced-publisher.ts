import { FencedError } from "../errors.ts";
import type { Fence } from "../state/state.ts";

/** Somebody published after having taken over: what the one before still sends is older (Invariant 2). */
export function fencedPublisher({ lease, token }: Fence): FencedError {
  return new FencedError(
    `queue: a later holder of lease ${lease} than ${token} has published already.`,
    { code: "queue.fenced" },
  );
}
