import { fakes } from "sluice/testing";
import { expect, it } from "vitest";
import { maxLooks, openFailures } from "./failures.ts";

const minute = 60_000;

it("leaves an object alone that failed again and again, until it changes or a growing wait is over", async () => {
  const { state } = fakes.state();
  let time = 1e12;
  const open = () => openFailures(state, () => time);
  let failures = await open();
  for (let look = 1; look <= maxLooks; look++) {
    expect(failures.resting("a", "f1")).toBeUndefined();
    expect(await failures.failed("a", "f1", "why")).toBe(look);
    failures = await open(); // a source that failed is started again
  }
  expect(failures.resting("a", "f1")).toBe("why");
  expect(failures.resting("a")).toBe("why");
  expect(failures.resting("a", "f2")).toBeUndefined();
  expect(failures.resting("b", "f1")).toBeUndefined();

  time += minute;
  expect(failures.resting("a", "f1")).toBeUndefined();
  await failures.failed("a", "f1", "why");
  time += 2 * minute - 1;
  expect(failures.resting("a", "f1")).toBe("why");
  for (let more = 0; more < 30; more++) await failures.failed("a", "f1", "why");
  time += 24 * 60 * minute;
  expect(failures.resting("a", "f1")).toBeUndefined();

  expect(await failures.failed("a", "f2", "why")).toBe(1);
  await state.all(failures.mended(["a", "b"]));
  expect(await (await open()).failed("a", "f2", "why")).toBe(1);
});

it("remembers only so many", async () => {
  const { state } = fakes.state();
  const failures = await openFailures(state);
  const often = async (key: string) => {
    for (let look = 0; look < maxLooks; look++) await failures.failed(key, "f", "why");
  };
  await often("first");
  for (let at = 0; at < 9_999; at++) await failures.failed(`${at}`, "f", "why");
  expect(failures.resting("first")).toBe("why");
  await often("last");
  let count = 0;
  for await (const page of state.scan("f/")) count += page.length;
  expect(count).toBe(10_000);
  expect(failures.resting("first")).toBeUndefined();
  expect(failures.resting("last")).toBe("why");
}, 60_000);
