import { expect, it } from "vitest";
import { backoff } from "./backoff.ts";

it("waits as long as a timer can when it is told to wait for longer", async () => {
  const stop = new AbortController();
  const waiting = backoff(0, { maxDelayMs: 10, atLeastMs: 1e13, signal: stop.signal });
  const first = await Promise.race([
    waiting.then(() => "over"),
    new Promise((resolve) => setTimeout(() => resolve("waiting"), 50)),
  ]);
  expect(first).toBe("waiting");
  stop.abort();
  await expect(waiting).rejects.toMatchObject({ name: "AbortError" });
});
