import { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { within } from "./conformance.ts";

type Push = Socket["push"];

/** What sockets would have heard meanwhile, in order. */
let held: { readonly socket: Socket; readonly args: Parameters<Push> }[] = [];
let holders = 0;

/**
 * From now on no socket of this process hears anything, until the function that it gives is called: what is asked is
 * not answered. What another thread, a process or native code listens to is not held.
 */
export function holdAnswers(): () => void {
  holders += 1;
  if (holders === 1)
    Socket.prototype.push = function (...args) {
      held.push({ socket: this, args });
      return true;
    };
  return () => {
    holders -= 1;
    if (holders > 0) return;
    // The method below it is inherited.
    Reflect.deleteProperty(Socket.prototype, "push");
    const all = held;
    held = [];
    for (const { socket, args } of all) if (!socket.destroyed) socket.push(...args);
  };
}

const withinMs = 1_000;
/** For what is given up on, once it is answered, to end. */
const afterwardsMs = 5_000;
/** At once, and when a request is under way. */
const delaysMs = [0, 50];

/** Aborts a call that gets no answer, and fails when it has not settled a second later. */
export async function settlesOnAbort(
  what: string,
  call: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  for (const delayMs of delaysMs) {
    const aborter = new AbortController();
    const release = holdAnswers();
    const calling = Promise.allSettled([call(aborter.signal)]);
    try {
      await sleep(delayMs);
      aborter.abort();
      await within(withinMs, calling, `${what}, aborted,`);
    } finally {
      release();
      await Promise.race([calling, sleep(afterwardsMs, undefined, { ref: false })]);
    }
  }
}
