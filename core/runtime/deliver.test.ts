import { describe, expect, it } from "vitest";
import { FencedError, PoisonError, RetryableError } from "../errors.ts";
import { upserted, type SluiceEvent } from "../event.ts";
import { version } from "../version.ts";
import { deliver, type Delivery } from "./deliver.ts";
import { StageFailure, type Failure } from "./failure.ts";

const event = (subject: string) =>
  upserted({
    source: "/t",
    key: subject,
    subject,
    version: version({ epoch: 1, position: 1n, rank: 0, tail: 0 }),
    time: "2026-01-01T00:00:00Z",
    meta: {},
    op: "create",
    after: {},
  });
const events = ["a", "b", "c", "d", "e"].map(event);
const poison = new PoisonError("no", { code: "test.poison" });
const throttled = new RetryableError("slow down", { code: "test.throttled", reason: "throttled" });

/** A far side: `refuse` says what is wrong with a call, if anything. */
function farSide(
  refuse: (call: readonly SluiceEvent[], tries: number) => unknown,
  probe: () => Promise<boolean> = async () => false,
) {
  const written: string[] = [];
  const buried: string[] = [];
  const states: string[] = [];
  let tries = 0;
  const stop = new AbortController();
  const health = { succeededAt: 0 };
  const delivery: Delivery = {
    attempt: async (some) => {
      const wrong = refuse(some, (tries += 1));
      if (Array.isArray(wrong)) {
        const failed = new Set((wrong as Failure[]).map(({ at }) => at));
        written.push(
          ...some.filter((_, at) => !failed.has(at)).map(({ subject }) => String(subject)),
        );
        return wrong as Failure[];
      }
      if (wrong !== undefined) throw new StageFailure("write", wrong);
      written.push(...some.map(({ subject }) => String(subject)));
      return [];
    },
    bury: async ({ subject }) => void buried.push(String(subject)),
    probe,
    retry: { attempts: 3, maxDelayMs: 1 },
    health,
    board: {
      become: (state) => states.push(state),
      trouble: (state) => states.push(state),
      meter: () => {},
    },
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    signal: stop.signal,
  };
  return { delivery, written, buried, states, stop, health, tries: () => tries };
}

const holds = (call: readonly SluiceEvent[], subject: string) =>
  call.some((one) => one.subject === subject);

describe("deliver", () => {
  it("finds a poison event by halving and writes all the others", async () => {
    const far = farSide((call) => (holds(call, "c") ? poison : undefined));
    await deliver(events, far.delivery);
    expect(far.buried).toEqual(["c"]);
    expect(far.written.toSorted()).toEqual(["a", "b", "d", "e"]);
  });

  it("retries what is retryable for as long as it takes and buries nothing", async () => {
    const far = farSide((_, tries) => (tries < 20 ? throttled : undefined));
    await deliver(events, far.delivery);
    expect(far.tries()).toBe(20);
    expect(far.buried).toEqual([]);
    expect(far.written).toEqual(["a", "b", "c", "d", "e"]);
    expect(far.states.at(-1)).toBe("running");
  });

  it("repeats only the part that failed", async () => {
    const far = farSide((call, tries) =>
      tries === 1
        ? [
            { at: 1, stage: "write", error: throttled },
            { at: 3, stage: "write", error: poison },
          ]
        : call.length === 1
          ? undefined
          : new Error("the whole batch came again"),
    );
    await deliver(events, far.delivery);
    expect(far.buried).toEqual(["d"]);
    expect(far.written.toSorted()).toEqual(["a", "b", "c", "e"]);
  });

  it.each(["a", "b", "e"])(
    "takes a foreign error that follows one event, %s, for that event's fault, once another one succeeds",
    async (bad) => {
      const far = farSide((call) =>
        holds(call, bad) ? new TypeError("cannot read it") : undefined,
      );
      await deliver(events, far.delivery);
      expect(far.buried).toEqual([bad]);
      expect([...new Set(far.written)].toSorted()).toEqual(
        ["a", "b", "c", "d", "e"].filter((one) => one !== bad),
      );
    },
  );

  it("tries one that waits where an event is alone, and holds while that fails too", async () => {
    let probes = 0;
    const far = farSide(
      () => new TypeError("cannot read it"),
      async () => (probes += 1) === 5,
    );
    await deliver(events.slice(0, 1), far.delivery);
    expect(far.buried).toEqual(["a"]);
    expect(probes).toBe(5);
    expect(far.tries()).toBe(far.delivery.retry.attempts + 5);
  });

  it("tries none of a key that fails for one that comes before it (Invariant 2)", async () => {
    const one = (n: number) => ({ ...event("a"), id: `a${n}` });
    const handled: string[] = [];
    // It takes an event alone, and now and then.
    const { delivery } = farSide((call, tries) => {
      if (call.length > 1 || tries % 3 !== 0) return new Error("down");
      handled.push(...call.map(({ id }) => id));
      return undefined;
    });
    await deliver([1, 2, 3, 4, 5, 6].map(one), delivery);
    expect(handled).toEqual(["a1", "a2", "a3", "a4", "a5", "a6"]);
  });

  it("holds when everything fails with a foreign error: an outage is not poison", async () => {
    const far = farSide((_, tries) => (tries > 60 ? undefined : new Error("broken pipe")));
    await deliver(events, far.delivery);
    expect(far.buried).toEqual([]);
    expect([...new Set(far.written)].toSorted()).toEqual(["a", "b", "c", "d", "e"]); // one was tried as a probe too
    expect(far.states).toContain("failing");
  });

  const foreign = new TypeError("cannot read it");

  it("takes a foreign error that is named for one event of a call for its fault, and leaves the others alone", async () => {
    const calls: number[] = [];
    const far = farSide((call) => {
      calls.push(call.length);
      const at = call.findIndex(({ subject }) => subject === "c");
      return at < 0 ? undefined : [{ at, stage: "ask", error: foreign }];
    });
    await deliver(events, far.delivery);
    expect(far.buried).toEqual(["c"]);
    expect(far.written).toEqual(["a", "b", "d", "e"]);
    expect(calls).toEqual([5, 1, 1]);
  });

  it("holds several that fail so, each named, while no other succeeds", async () => {
    let isOut = true;
    let probes = 0;
    const far = farSide(
      (call) => (isOut ? call.map((_, at) => ({ at, stage: "ask", error: foreign })) : undefined),
      async () => {
        if ((probes += 1) === 20) isOut = false;
        return false;
      },
    );
    await deliver(events, far.delivery);
    expect(far.buried).toEqual([]);
    expect(far.written).toEqual(["a", "b", "c", "d", "e"]);
  });

  it("takes no success for a proof that is from before it began to fail, or from while it was tried last", async () => {
    const far = farSide((_, tries) => {
      // On its way since before the outage, which others got through just before.
      if (tries === 1) far.health.succeededAt = performance.now();
      // It ends: others succeed, while this one hangs on a connection of before.
      if (tries === 9) far.health.succeededAt = performance.now();
      return tries < 10 ? foreign : undefined;
    });
    await deliver(events.slice(0, 1), far.delivery);
    expect(far.tries()).toBe(10);
    expect(far.buried).toEqual([]);
  });

  it("never gives up what is retryable, though something foreign failed often enough before", async () => {
    const far = farSide((_, tries) => {
      if (tries === 4) far.health.succeededAt = performance.now();
      return tries <= 3 ? foreign : tries <= 6 ? throttled : undefined;
    });
    await deliver(events.slice(0, 1), far.delivery);
    expect([far.tries(), far.buried]).toEqual([7, []]);
  });

  it("hands back on a lost lease, without a dead letter", async () => {
    const fenced = new FencedError("old token", { code: "state.fenced" });
    const far = farSide(() => fenced);
    await expect(deliver(events, far.delivery)).rejects.toBe(fenced);
    expect(far.buried).toEqual([]);
  });

  it("ends a back-off at once on abort", async () => {
    const far = farSide(() => throttled);
    const slow = { ...far.delivery, retry: { attempts: 3, maxDelayMs: 60_000 } };
    const done = deliver(events, { ...slow });
    setTimeout(() => far.stop.abort(new Error("stop")), 20);
    await expect(done).rejects.toThrow();
    expect(far.buried).toEqual([]);
  });
});
