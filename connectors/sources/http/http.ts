import { setMaxListeners } from "node:events";
import { bell, ConfigError, defineSource, isLoopback, SluiceError, z } from "sluice";
import { openAnswers } from "./answers.ts";
import { openBudget } from "./body.ts";
import { config, type Options } from "./config.ts";
import { openDesk } from "./desk.ts";
import { handler } from "./handle.ts";
import { listen, tryToListen, type Listening } from "./listen.ts";

/** What bodies hold in memory together, or two of the largest. */
const bodyBytes = 64 * 2 ** 20;

/**
 * Takes CloudEvents, questions and feedback by POST, and answers 202 when they are durable in the topic.
 * Where the topic of the answers is named, a caller may wait for the answer to its question.
 *
 * It holds no position: what was not acknowledged is its sender's, who sends it again with the same id.
 */
export const http = defineSource({
  name: "http",
  version: "1.0.0",
  summary: "Events, questions and feedback by HTTP.",
  config,
  checkpoint: z.strictObject({}),
  emits: [""],
  capabilities: { deletes: false, snapshotOnRequest: false, replays: false, forgets: false },
  // Nothing can be read of it: whoever sends decides when.
  async *scan() {},
  check: async ({ config: options }) => {
    const { host, port } = options;
    try {
      assertToken(options);
      await tryToListen(options);
      const guarded = options.token === undefined ? "this machine only" : "with a token";
      return [
        {
          severity: "ok",
          code: "http.free",
          message: `http: port ${port} of ${host} is free, for ${guarded}.`,
        },
      ];
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      const { code, message, fix } = error;
      // A pipeline that runs holds its own port.
      const severity = code === "http.port-in-use" ? "warning" : "error";
      return [{ severity, code, message, ...(fix !== undefined && { fix }) }];
    }
  },
  async *read(context) {
    const { config: options, signal, log, progress } = context;
    assertToken(options);
    setMaxListeners(0, signal); // one a request
    const sdk = await import("cloudevents");
    const alarm = bell();
    let failure: { readonly error: unknown } | undefined;
    const fail = (error: unknown) => {
      failure ??= { error };
      alarm.ring();
    };
    const answers =
      options.answers === undefined ? undefined : await openAnswers(context, options.answers, fail);
    const desk = openDesk({
      maxQueued: options.maxQueued,
      maxQueueMs: options.maxQueueSeconds * 1_000,
      ring: alarm.ring,
    });
    const budget = openBudget(Math.max(bodyBytes, 2 * options.maxBytes));
    let server: Listening | undefined;
    try {
      server = await listen(options, handler({ context, sdk, desk, budget, answers }));
      log.info({ url: server.url }, "listening");
      progress({ phase: "streaming" });
      while (!signal.aborted) {
        if (failure) throw failure.error;
        const events = desk.take();
        if (events.length === 0) await alarm.wait(Infinity, signal);
        else {
          yield { events, checkpoint: {} };
          desk.taken(); // Invariant 1: only now they are durable
        }
      }
    } finally {
      desk.close();
      answers?.close();
      await server?.close();
    }
  },
});

function assertToken({ host, token }: Options): void {
  if (token !== undefined || isLoopback(host)) return;
  throw new ConfigError(
    `http: others than this machine can reach ${host}, and there is no token.`,
    {
      code: "http.token-missing",
      fix: "Set `token` to a long random text, or `host` to 127.0.0.1.",
    },
  );
}
