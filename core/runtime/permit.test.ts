import { expect, it } from "vitest";
import { fakes } from "../testing/index.ts";
import { openPermit } from "./permit.ts";

it("writes in time, all or none, and leaves nothing of itself", async () => {
  const { state } = fakes.state();
  const permit = await openPermit(state);
  expect(await permit.write([{ key: "a", value: 1, expect: 7 }])).toBe(false);
  expect(await permit.write([{ key: "a", value: 1, expect: 0 }])).toBe(true);
  for await (const page of state.scan("")) expect(page.map(({ key }) => key)).toEqual(["a"]);
});

it("what arrives when its time is over does nothing", async () => {
  const { state, advance } = fakes.state();
  const permit = await openPermit(state);
  advance(2_100);
  await expect(permit.write([{ key: "a", value: 1 }])).rejects.toMatchObject({
    code: "state.late",
  });
  expect(await state.get(["a"])).toEqual([undefined]);
});
