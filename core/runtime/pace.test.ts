import { beforeEach, describe, expect, it } from "vitest";
import { paceMeter, type PaceMeter } from "./pace.ts";

let clock = 0;
let meter: PaceMeter;
beforeEach(() => {
  clock = 0;
  meter = paceMeter(() => clock);
});
/** Seconds that pass, with what is done after each. */
const work = (total: number | undefined, ...done: number[]) => {
  for (const some of done) {
    meter.note({ done: some, ...(total !== undefined && { total }) });
    clock += 1_000;
  }
};

describe("percent and time left", () => {
  it("come from what is done, and how fast it went", () => {
    work(1_000, 0, 100, 200, 300);
    expect(meter.read()).toEqual({ percent: 30, etaMs: 9_334 }); // 300 in 4 s
  });

  it("follow the speed of the last half minute", () => {
    work(100_000, ...Array.from({ length: 20 }, (_, at) => at * 1_000));
    work(100_000, ...Array.from({ length: 60 }, (_, at) => 19_000 + at * 10));
    const { etaMs = 0 } = meter.read();
    expect(etaMs).toBeGreaterThan(8_000_000); // 80,410 left at 10 a second
  });

  it("move the end away while nothing is done", () => {
    work(1_000, 0, 100, 200, 300);
    const { etaMs: before = 0 } = meter.read();
    clock += 60_000;
    expect(meter.read().percent).toBe(30);
    expect(meter.read().etaMs).toBeGreaterThan(10 * before);
  });

  it("are rounded down: only all is 100", () => {
    work(1_000, 999);
    expect(meter.read()).toEqual({ percent: 99 });
    work(1_000, 1_000);
    expect(meter.read()).toEqual({ percent: 100 });
  });

  it("begin anew with the next snapshot, also where this one went on elsewhere before", () => {
    work(1_000, 0, 300, 600, 900);
    work(1_000, 500, 510, 520, 530);
    expect(meter.read()).toEqual({ percent: 53, etaMs: Math.ceil(470 / (30 / 4_000)) });
  });
});

describe("what cannot be known is left out", () => {
  it("without a total, or one that was too small", () => {
    work(undefined, 0, 10, 20, 30);
    expect(meter.read()).toEqual({});
    work(40, 50, 60, 70, 80);
    expect(meter.read()).toEqual({});
    work(0, 0);
    expect(meter.read()).toEqual({});
  });

  it("the time left at first, and when nothing moves", () => {
    work(1_000, 10, 20);
    expect(meter.read()).toEqual({ percent: 2 });
    work(1_000, ...Array.from({ length: 40 }, () => 20));
    expect(meter.read()).toEqual({ percent: 2 });
  });

  it("everything, once it only streams", () => {
    work(1_000, 0, 100, 200, 300);
    meter.note({});
    expect(meter.read()).toEqual({});
  });
});
