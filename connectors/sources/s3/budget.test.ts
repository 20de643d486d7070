import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { openBudget } from "./budget.ts";

const open = () => {
  const stop = new AbortController();
  let isHeld = false;
  const budget = openBudget({ maxBytes: 100, isHeld: () => isHeld, signal: stop.signal });
  const granted: string[] = [];
  /** Asks for it under a name that is noted when it is granted. */
  const ask = async (name: string, bytes: number, share = budget.open()) => {
    const wait = share.resize(bytes);
    if (!wait) granted.push(name);
    void wait?.then(
      () => granted.push(name),
      () => granted.push(`not ${name}`),
    );
    await turn();
    return share;
  };
  return { ask, budget, granted, stop, hold: (value: boolean) => (isHeld = value) };
};

describe("a budget", () => {
  it("is given in the order of asking: a small wish does not overtake a large one", async () => {
    const { ask, granted, budget } = open();
    const a = await ask("a", 60);
    await ask("large", 90);
    const b = await ask("small", 10);
    expect(granted).toEqual(["a"]);
    expect(budget.fits(1)).toBe(false);
    void a.resize(0);
    await turn();
    expect(granted).toEqual(["a", "large", "small"]);
    void b.resize(0);
  });

  it("takes back what somebody has who wants more and must wait", async () => {
    const { ask, granted } = open();
    const [a, b] = [await ask("a", 50), await ask("b", 50)];
    await ask("more for a", 80, a);
    await ask("more for b", 80, b); // each waits for the other, had it kept its own
    await turn();
    expect(granted.slice(2)).toEqual(["more for a"]);
    void a.resize(0);
    await turn();
    expect(granted.slice(2)).toEqual(["more for a", "more for b"]);
  });

  it("grows at once where there is room, and shrinks in favour of those who wait", async () => {
    const { ask, granted } = open();
    const a = await ask("a", 10);
    await ask("all for a", 100, a);
    await ask("b", 40);
    expect(granted).toEqual(["a", "all for a"]);
    await ask("less for a", 60, a);
    expect(granted).toContain("b");
  });

  it("lets one who is alone have more than there is", async () => {
    const { ask, granted } = open();
    const a = await ask("huge", 1_000);
    await ask("b", 1);
    expect(granted).toEqual(["huge"]);
    void a.resize(0);
    await turn();
    expect(granted).toEqual(["huge", "b"]);
  });

  it("gives nothing while it is held, and ends every wait on abort", async () => {
    const { ask, granted, budget, hold, stop } = open();
    hold(true);
    await ask("a", 1);
    expect(granted).toEqual([]);
    hold(false);
    budget.look();
    await turn();
    expect(granted).toEqual(["a"]);
    hold(true);
    await ask("b", 1);
    await ask("c", 1);
    stop.abort();
    await turn();
    expect(granted).toEqual(["a", "not b", "not c"]);
  });
});
