import { setImmediate as turn } from "node:timers/promises";
import { expect, it } from "vitest";
import { openAcknowledger } from "./acknowledge.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };

it("confirms what has settled, and nothing that was stored while it did", async () => {
  const settling: (() => void)[] = [];
  const settled = () => new Promise<void>((resolve) => settling.push(resolve));
  const { stored, confirmed } = openAcknowledger({ from: 5n, settled, log });
  stored(10n);
  stored(20n);
  await turn();
  expect(confirmed()).toBe(5n);
  settling.shift()?.();
  await turn();
  expect(confirmed()).toBe(10n); // 20 was stored after settled() was asked
  settling.shift()?.();
  await turn();
  expect(confirmed()).toBe(20n);
  stored(15n);
  await turn();
  expect([confirmed(), settling.length]).toEqual([20n, 0]);
});

it("confirms nothing while the queue cannot say what would survive, and goes on when it can", async () => {
  let isAway = true;
  const settled = async () => {
    if (isAway) throw new Error("redis is away");
  };
  const { stored, confirmed } = openAcknowledger({ from: 0n, settled, log });
  stored(10n);
  await turn();
  expect(confirmed()).toBe(0n);
  isAway = false;
  stored(11n);
  await turn();
  expect(confirmed()).toBe(11n);
});
