import { setTimeout as sleep } from "node:timers/promises";
import type { SourceContext } from "sluice";
import type { Bucket } from "../bucket.ts";
import type { Checkpoint, Options } from "../config.ts";
import type { Desk, Look } from "../desk.ts";
import { isRefused, unavailable } from "../refusal.ts";
import { hintsOf } from "./hints.ts";
import type { Message } from "./messages.ts";
import { openQueue, type Received } from "./queue.ts";
import { sequencers } from "./sequencers.ts";

/** What the queue tells becomes keys to look at. A message is deleted when the last of its keys is. */
export interface Listening {
  /** These were looked at, and what came of it is stored. */
  readonly settled: (looks: readonly Look[]) => void;
  /** How long the oldest message in hand has waited; undefined when there is none. */
  readonly lagSeconds: () => number;
  /** Hands back what is not done. Resolves within half a second. */
  readonly close: () => Promise<void>;
}

/** Keys in hand; while they are more, nothing is received. */
const maxOwed = 500;
/** How long a message stays out of sight that nobody here can read: its queue's redrive policy may take it. */
const parkedSeconds = 900;
const maxRetryMs = 30_000;
const handBackMs = 500;
/** For so long a queue may fail to answer unseen. */
const maxSilenceMs = 60_000;

export async function listen(
  { config, log, meter }: Pick<SourceContext<Options, Checkpoint>, "config" | "log" | "meter">,
  run: {
    readonly desk: Desk;
    readonly bucket: Bucket;
    readonly signal: AbortSignal;
    readonly fail: (error: unknown) => void;
  },
): Promise<Listening> {
  const { desk, bucket, signal, fail } = run;
  const { notifications } = config;
  if (!notifications) throw new Error("s3: no notifications are configured");
  const queue = await openQueue(config, notifications);
  const what = `queue ${notifications.queueUrl}`;
  const inHand = new Map<string, Message>();
  const sequence = sequencers();
  let owed = 0;
  let resume = () => {};

  const atWork = new Set<Promise<void>>();
  const quietly = (work: Promise<void>, message: string) => {
    const done = work
      .catch((error: unknown) => log.warn({ error: unavailable(what, error) }, message))
      .finally(() => atWork.delete(done));
    atWork.add(done);
  };

  const park = ({ id, receipt, receives, body }: Received, reason: "unreadable" | "foreign") => {
    meter("messages_unreadable", 1, { reason });
    log.warn(
      { messageId: id, receives, body: body.slice(0, 500) },
      reason === "foreign"
        ? "a message is about another bucket: left in the queue, which should be this source's alone"
        : "a message is no S3 event: left in the queue, for its redrive policy to take",
    );
    quietly(queue.hide([receipt], parkedSeconds), "a message could not be hidden");
  };

  const take = (received: Received) => {
    const { id, receipt, sentAt, body } = received;
    const told = hintsOf(body, { bucket: bucket.name, keys: notifications.keys });
    if (told.kind === "unreadable" || told.kind === "foreign") return park(received, told.kind);
    const hints = told.kind === "test" ? [] : told.hints.filter((hint) => !sequence.isOld(hint));
    const message = { id, receipt, sentAt, hints, owed: new Set(hints.map(({ key }) => key)) };
    if (hints.length === 0)
      return quietly(queue.remove([receipt]), "a message could not be deleted and will come again");
    inHand.set(receipt, message); // not its id: it may be received twice
    owed += message.owed.size;
    for (const { key, size, removedAt } of hints)
      desk.add(
        { key, size, removedAt, isForced: false, isOfPass: false, messages: [message] },
        true,
      );
  };

  const receive = async () => {
    let askedAt = 0;
    let failingSince: number | undefined;
    for (let failures = 0; !signal.aborted;)
      try {
        while (owed >= maxOwed && !signal.aborted)
          await new Promise<void>((resolve) => {
            resume = resolve;
          });
        askedAt = performance.now();
        const messages = await queue.receive({ signal });
        failures = 0;
        failingSince = undefined;
        for (const message of messages) take(message);
      } catch (cause) {
        if (signal.aborted) return;
        const error = unavailable(what, cause);
        failingSince ??= askedAt;
        // It needs a person, or lasts. All else passes; until then the listing finds what happens.
        if (isRefused(error) || performance.now() - failingSince > maxSilenceMs) throw error;
        failures += 1;
        log.warn({ error, failures }, "the queue does not answer, trying again");
        const waitMs = Math.min(maxRetryMs, 500 * 2 ** failures);
        await sleep(waitMs, undefined, { signal }).catch(() => {}); // aborted: the loop ends
      }
  };
  const receiving = receive().catch(fail);

  const renewal = setInterval(() => {
    const receipts = [...inHand.values()].map(({ receipt }) => receipt);
    quietly(
      queue.hide(receipts, notifications.visibilitySeconds),
      "messages could not be hidden for longer and may come twice",
    );
  }, notifications.visibilitySeconds * 400);
  signal.addEventListener("abort", () => resume(), { once: true });

  return {
    settled: (looks) => {
      const done: string[] = [];
      for (const { key, messages } of looks)
        for (const message of messages) {
          if (!message.owed.delete(key)) continue;
          owed -= 1;
          sequence.looked(message.hints.filter((hint) => hint.key === key));
          if (message.owed.size > 0 || !inHand.delete(message.receipt)) continue;
          done.push(message.receipt);
        }
      if (owed < maxOwed) resume();
      if (done.length > 0)
        quietly(queue.remove(done), "messages could not be deleted and will come again");
    },
    lagSeconds: () => {
      const oldest = Math.min(...[...inHand.values()].map(({ sentAt }) => sentAt));
      return Number.isFinite(oldest) ? Math.max(0, Math.round((Date.now() - oldest) / 1_000)) : 0;
    },
    close: async () => {
      clearInterval(renewal);
      const receipts = [...inHand.values()].map(({ receipt }) => receipt);
      inHand.clear();
      const handBack = async () => {
        await receiving;
        await Promise.all([queue.hide(receipts, 0), ...atWork]);
      };
      // Unless that works they are hidden until their time is up: no more is lost than that.
      await Promise.race([
        handBack().catch(() => {}),
        sleep(handBackMs, undefined, { ref: false }),
      ]);
      queue.close();
    },
  };
}
