import type { Applicable, MessageEvent, RecordUpserted, Transform } from "sluice";
import { fakes, transformConformance } from "sluice/testing";
import { describe, expect, it } from "vitest";

const place = new URL("../../../examples/feedback/corrections.mjs", import.meta.url).href;
// As `sluice start` loads it.
const { corrections } = (await import(place)) as { readonly corrections: Transform };
const { signal } = new AbortController();

const answer: MessageEvent = {
  specversion: "1.0",
  id: "q1~llm",
  source: "/test/asker",
  type: "dev.sluice.answer.given",
  data: { question: "q1", asked: "Who maintains the wiki?", text: "Nobody.", citations: [] },
};
const feedback = (data: object = {}, id = "f1"): MessageEvent => ({
  specversion: "1.0",
  id,
  source: "/test/asker",
  type: "dev.sluice.feedback.given",
  time: "2026-01-01T00:00:00Z",
  data: { answer: answer.id, rating: -1, comment: "The platform team does.", ...data },
});

async function open(held = fakes.state()) {
  const worker = await corrections.open(fakes.context({ config: {}, state: held.state }));
  return (...events: readonly Applicable[]) => worker.apply(events, { signal });
}

describe("the feedback example keeps the contract of a transform", () => {
  // What it makes of the two together depends on what it knows: below.
  const samples = [answer, feedback({ rating: 1 })];
  for (const { name, run } of transformConformance({ transform: corrections, config: {}, samples }))
    it(name, run);
});

describe("a correction", () => {
  it("becomes one and the same record whichever comes first, the answer or the feedback", async () => {
    const one = await open();
    expect(await one(answer)).toEqual([null]);
    const [record] = await one(feedback());
    expect((record as RecordUpserted).data.after).toMatchObject({
      text: "# Who maintains the wiki?\n\nThe platform team does.\n",
    });
    const other = await open();
    expect(await other(feedback())).toEqual([null]);
    expect(await other(answer)).toEqual([record]);
    expect(await other(answer, feedback())).toEqual([record, record]);
  });

  it("is made though both come at once, to two processes", async () => {
    for (let round = 0; round < 50; round++) {
      const held = fakes.state();
      const [one, other] = [await open(held), await open(held)];
      const made = await Promise.all([one(answer), other(feedback())]);
      expect(made.flat().filter((output) => output !== null)).not.toEqual([]);
    }
  });

  it("takes the place of an earlier one, and a late repeat of that does not come back", async () => {
    const one = await open();
    await one(answer);
    const [early] = await one(feedback());
    const late = { ...feedback({ comment: "Ada does." }, "f2"), time: "2026-01-02T00:00:00Z" };
    const [newer] = await one(late);
    const [record, earlier] = [newer as RecordUpserted, early as RecordUpserted];
    expect(record.subject).toBe(earlier.subject);
    expect(record.sequence > earlier.sequence).toBe(true);
    expect(await one(feedback())).toEqual([early]);
  });

  it("comes of no praise, and of no silent displeasure", async () => {
    const one = await open();
    await one(answer);
    expect(await one(feedback({ rating: 1 }), feedback({ comment: undefined }))).toEqual([
      null,
      null,
    ]);
  });
});
