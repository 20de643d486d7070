import { expect, it } from "vitest";
import { commandEnding } from "./orphans.ts";

const old = { topic: "notes", name: "old" };
const start = "sluice subscriptions remove old --topic notes --project shop --queue";

it.each([
  [{ kind: "embedded", dir: "/var/lib/shop" }, "embedded:/var/lib/shop"],
  [{ kind: "embedded", dir: "/home/me/it's mine" }, String.raw`'embedded:/home/me/it'\''s mine'`],
  [{ kind: "redis", url: "redis://localhost:6379" }, "redis://localhost:6379"],
  [
    { kind: "redis", url: "redis://me:hunter2@a,b?replicas=1" },
    "'redis://***@a,b?replicas=1' (write the user and password of the URL for ***)",
  ],
] as const)("says how to end what nobody consumes, wherever it is run: %j", (queue, place) => {
  expect(commandEnding(old, { project: "shop", queue })).toBe(`${start} ${place}`);
});
