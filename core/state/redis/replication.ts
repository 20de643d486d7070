import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../../connector.ts";
import { RetryableError } from "../../errors.ts";
import type { RedisClient } from "./client.ts";
import { openWanted, parseHistory, type ServerHistory } from "./wanted.ts";

/** Makes what was written outlive the loss of a server. */
export interface Replication {
  /**
   * Runs `write`, which writes to keys of `tag`, and resolves with its answer once the replicas have what
   * it wrote. Waits for them as long as it takes. Where the server's history changed meanwhile (a fail-over
   * or a restart), what was written may be gone: `write` is run again if it may be, else it rejects with
   * `RetryableError` `redis.failed-over`.
   *
   * `history` names the history that is written to, '' where that does not count. A script compares it
   * (`isInHistory`): a primary that another one has replaced may not know that yet, and takes what is lost then.
   * It is written again for 3 s, and then rejects with `redis.failed-over`.
   */
  readonly kept: <T>(
    tag: string,
    write: (history: string) => Promise<T>,
    options: { readonly repeatable: boolean },
  ) => Promise<T>;
  readonly close: () => void;
}

const waitMs = 500;
const warnAfterMs = 3_000;
const retryMs = 50;
/** What a server or its connection says around a fail-over. */
const passes =
  /^(?:MOVED|ASK|TRYAGAIN|CLUSTERDOWN|LOADING|READONLY|MASTERDOWN|NOREPLICAS)\b|connection/i;

/**
 * A write, so that WAIT has something to wait for, and the server's history after it. Deleting comes
 * first, which needs no memory: that lets the rest pass when Redis is full.
 */
const mark = `
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], '', 'PX', 60000)
local told = redis.pcall('INFO', 'replication')
return type(told) == 'string' and told or ''`;

const failedOver = "FAILEDOVER";
/** What a script says that was sent to a primary that was replaced. */
export function isFailedOver(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith(failedOver);
}

/** Lua: whether the server has the history that it is given; `failedOverReply` says that it has not. */
export const isInHistory = `
local function isInHistory(history)
  if history == '' then return true end
  local told = redis.pcall('INFO', 'replication')
  return type(told) ~= 'string' or string.match(told, 'master_replid:(%w+)') == history
end
`;
export const failedOverReply = `redis.error_reply('${failedOver} another server has these keys now')`;

/** One server needs none of it: what it loses, it loses from the end of all that it has. */
export const unreplicated: Replication = {
  kept: (_, write) => write(""),
  close: () => {},
};

/** `client` is used for nothing else, because WAIT blocks it; writes on other connections that were answered come before. */
export function openReplication(options: {
  readonly client: RedisClient;
  readonly replicas: number;
  readonly place: string;
  readonly log: Log;
}): Replication {
  const { client, replicas, place, log } = options;
  const wantedOf = openWanted(replicas);
  const known = new Map<string, ServerHistory>();
  const running = new Map<string, Promise<string>>();
  const next = new Map<string, Promise<string>>();
  let held = 0;
  let isClosed = false;

  /** Resolves with the server's history once all before it is on enough replicas. */
  async function confirm(tag: string): Promise<string> {
    const startedAt = performance.now();
    const last = known.get(tag);
    let isHeld = false;
    let wanted = last ? wantedOf(last) : replicas;
    for (;;) {
      const before = known.get(tag);
      const { history, confirmed } = await ask(tag, wanted);
      if (history) known.set(tag, history);
      if (before && history && before.id !== history.id) return done(history.id);
      wanted = history ? wantedOf(history) : replicas;
      if (confirmed >= wanted) return done(history?.id ?? "");
      if (!isHeld && performance.now() - startedAt > warnAfterMs) {
        isHeld = true;
        if (held++ === 0)
          log.warn(
            { redis: place, replicas: wanted, confirmed, fix: "Start the replicas again." },
            "redis: replicas do not confirm writes, waiting for them",
          );
      }
    }
    function done(id: string): string {
      if (isHeld && --held === 0)
        log.info({ redis: place }, "redis: replicas confirm writes again");
      return id;
    }
  }

  async function ask(tag: string, wanted: number) {
    if (isClosed) throw new Error("Connection is closed."); // a cluster's pipeline would wait for it
    const key = `${tag}:kept`;
    const pipeline = client.pipeline().eval(mark, 1, key);
    if (wanted > 0) pipeline.wait(wanted, waitMs);
    const [marked, waited] = (await pipeline.exec()) ?? [];
    const error = marked?.[0] ?? waited?.[0];
    if (error) {
      if (!passes.test(error.message)) throw error;
      await sleep(retryMs);
      await client.get(key); // answered by whoever has the key by then: a cluster's client learns who that is
      return { history: undefined, confirmed: -1 };
    }
    const history = parseHistory(String(marked?.[1]));
    return { history, confirmed: Number(waited?.[1] ?? 0) };
  }

  /** Whoever asks while one runs shares the one after it: that one covers what was written before it began. */
  function shared(tag: string): Promise<string> {
    const current = running.get(tag);
    if (!current) return start(tag);
    const waiting = next.get(tag);
    if (waiting) return waiting;
    const following = current.then(
      () => (next.delete(tag), start(tag)),
      () => (next.delete(tag), start(tag)),
    );
    next.set(tag, following);
    return following;
  }

  function start(tag: string): Promise<string> {
    const run = confirm(tag).finally(() => running.get(tag) === run && running.delete(tag));
    running.set(tag, run);
    return run;
  }

  const failure = (what: string, fix: string) =>
    new RetryableError(`redis: ${place} ${what}.`, {
      code: "redis.failed-over",
      reason: "unreachable",
      fix,
    });

  return {
    kept: async (tag, write, { repeatable }) => {
      const startedAt = performance.now();
      let before = known.get(tag)?.id ?? (await shared(tag));
      for (;;) {
        let answer;
        try {
          answer = await write(before);
        } catch (error) {
          if (!isFailedOver(error)) throw error;
          if (performance.now() - startedAt > warnAfterMs)
            throw failure(
              "leads to a server that another one has replaced, which would lose what is written",
              "Stop the old primary, or make it a replica of the new one; everything goes on by itself then.",
            );
          await sleep(retryMs); // whoever wrote has to learn who has the keys
          before = await shared(tag);
          continue;
        }
        const after = await shared(tag);
        if (after === before) return answer;
        if (!repeatable)
          throw failure(
            "failed over or restarted during a write",
            "Nothing is to be done: what was to be written is written again.",
          );
        before = after;
      }
    },
    close: () => {
      isClosed = true;
      client.disconnect();
    },
  };
}
