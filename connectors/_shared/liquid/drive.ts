import type { Breathe } from "../text/breathe.ts";

const stepsBetweenBreaths = 1_000;

/**
 * Runs a computation made of generators that yield generators, a step at a time, so that others may
 * run meanwhile. After `maxSteps` it is made to throw.
 */
export async function drive(
  root: Iterator<unknown>,
  { maxSteps, breathe }: { readonly maxSteps: number; readonly breathe: Breathe },
): Promise<unknown> {
  const stack = [root];
  let given: unknown;
  let isThrown = false;
  for (let steps = 1; ; steps++) {
    if (steps % stepsBetweenBreaths === 0) await breathe();
    if (steps === maxSteps) {
      isThrown = true;
      given = new Error(`it takes more than ${maxSteps} steps`);
    }
    const top = stack.at(-1);
    if (top === undefined) {
      if (isThrown) throw given;
      return given;
    }
    try {
      const { done, value } = isThrown && top.throw ? top.throw(given) : top.next(given);
      isThrown = false;
      if (done) stack.pop();
      given = value;
      if (isGenerator(value)) {
        stack.push(value);
        given = undefined;
      }
    } catch (error) {
      stack.pop();
      given = error;
      isThrown = true;
    }
  }
}

function isGenerator(value: unknown): value is Iterator<unknown> {
  return (
    value !== null &&
    typeof value === "object" &&
    "next" in value &&
    typeof value.next === "function" &&
    "throw" in value &&
    typeof value.throw === "function"
  );
}
