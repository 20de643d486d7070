import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import * as fc from "fast-check";
import type { Party } from "../../core/queue/conformance.ts";
import {
  emptyLines,
  names,
  published,
  waitingOf,
  type Item,
  type Model,
  type Name,
} from "./model.ts";
import { consume, crash, until, type Real } from "./real.ts";

type Command = fc.AsyncCommand<Model, Real>;

const { signal } = new AbortController();
const name = fc.constantFrom(...names);
const item: fc.Arbitrary<Item> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      is: fc.constant("change" as const),
      key: fc.integer({ min: 0, max: 6 }).map((n) => `key-${n}`),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      is: fc.constant("change" as const),
      key: fc.constantFrom("key-1", "key-2"),
      audience: name,
    }),
  },
  { weight: 1, arbitrary: fc.constant({ is: "clear" as const }) },
);
const items = fc.array(item, { minLength: 1, maxLength: 12 });

const command = (
  text: string,
  isPossible: (model: Model) => boolean,
  run: (model: Model, real: Real) => Promise<void>,
): Command => ({
  check: (model) => isPossible(model),
  run,
  toString: () => text,
});
/** Longer than a lease. */
const comesAgainMs = 2_000;
const always = () => true;
const byText = (a: unknown, b: unknown) => (String(a) < String(b) ? -1 : 1);
const has = (one: Name) => (model: Model) => model.lines.has(one);
const isSubscribed = (model: Model) => model.lines.size > 0;

async function publish({ topic }: Real, { topics }: Party, model: Model, all: readonly Item[]) {
  await topics.publish(topic, published(model, all), { signal });
}

/** Everything that can be done to a queue; each checks what it did against the model. */
export const commands: fc.Arbitrary<Command>[] = [
  items.map((all) =>
    command(`publish ${JSON.stringify(all)}`, isSubscribed, async (model, real) =>
      publish(real, await real.party(), model, all),
    ),
  ),
  name.map((one) =>
    command(`subscribe ${one}`, always, async (model, real) => {
      const { topics } = await real.party();
      const known = await topics.subscribe({ topic: real.topic, name: one });
      assert.equal(known, model.lines.has(one) ? "known" : "new");
      if (known === "new") model.lines.set(one, emptyLines());
    }),
  ),
  name.map((one) =>
    command(`unsubscribe ${one}`, has(one), async (model, real) => {
      await (await real.party()).topics.unsubscribe(real.topic, one);
      model.lines.delete(one);
    }),
  ),
  fc.tuple(name, fc.integer({ min: 1, max: 4 })).map(([one, count]) =>
    command(`consume ${count} of ${one}`, has(one), async (model, real) => {
      const isEnough = (batches: number) => batches >= count;
      await consume(real, model, [await real.party()], one, { isEnough });
    }),
  ),
  name.map((one) =>
    command(`two consume all of ${one}`, has(one), async (model, real) => {
      const parties = [await real.party(), await real.party()];
      await consume(real, model, parties, one, { isEnough: () => false });
    }),
  ),
  fc.tuple(name, items, items).map(([one, first, second]) =>
    command(`publish while ${one} is consumed`, has(one), async (model, real) => {
      const producer = await real.party();
      await consume(real, model, [await real.party()], one, {
        isEnough: () => false,
        meanwhile: async () => {
          await publish(real, producer, model, first);
          await publish(real, producer, model, second);
        },
      });
    }),
  ),
  fc.tuple(name, fc.integer({ min: 1, max: 3 })).map(([one, times]) =>
    command(`${one} throws ${times} times`, has(one), async (model, real) => {
      let left = times;
      const before = async () => {
        if (left-- > 0) throw new Error("the sink is away");
      };
      await consume(real, model, [await real.party()], one, { isEnough: () => false, before });
    }),
  ),
  name.map((one) =>
    command(`a consumer of ${one} dies`, has(one), (model, real) =>
      crash(real, one, waitingOf(model, one) > 0),
    ),
  ),
  fc.constant(command("reopen", always, (_, real) => real.reopen())),
  fc.constant(
    command("count what waits", always, async (model, real) => {
      const { topics } = await real.party();
      const expected = () =>
        [...model.lines.keys()]
          .map((one) => [one, waitingOf(model, one)] as const)
          .toSorted(byText);
      const counts = async () =>
        (await topics.subscriptions(real.topic))
          .map(({ name: one, waiting }) => [one, waiting] as const)
          .toSorted(byText);
      const areSo = () =>
        until(
          async () => JSON.stringify(await counts()) === JSON.stringify(expected()),
          () => `${JSON.stringify(expected())} wait`,
        );
      // What was handled as a lease ran out waits to come again: so many more wait then, and come.
      await areSo().catch(async (error: unknown) => {
        const sum = (all: readonly (readonly [unknown, unknown])[]) =>
          all.reduce((total, [, count]) => total + Number(count), 0);
        const more = sum(await counts()) - sum(expected());
        if (more <= 0) throw error;
        const before = model.again;
        for (const one of model.lines.keys())
          await consume(real, model, [await real.party()], one, {
            isEnough: () => false,
            meanwhile: () => sleep(comesAgainMs),
          });
        assert.ok(model.again - before >= more, "as many come again as waited beyond the model");
        await areSo();
      });
    }),
  ),
];
