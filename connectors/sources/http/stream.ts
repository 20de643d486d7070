import type { ServerResponse } from "node:http";
import { cutWhenIdle } from "./reply.ts";

/** An answer as server-sent events. */
export interface Stream {
  readonly send: (event: string, data: unknown) => void;
  readonly end: () => void;
}

const everyMs = 15_000;

/** Begins a 200 answer of events; in silence a comment every `keepAliveMs` keeps proxies from closing it. */
export function openStream(response: ServerResponse, keepAliveMs = everyMs): Stream {
  response.writeHead(200, {
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    connection: "close",
    "x-accel-buffering": "no",
  });
  const beat = setInterval(() => {
    // Whoever does not read gets no more to read: nothing piles up here.
    if (!response.writableNeedDrain) response.write(": keep-alive\n\n");
  }, keepAliveMs);
  response.once("close", () => clearInterval(beat));
  return {
    send: (event, data) =>
      void response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`),
    end: () => {
      clearInterval(beat);
      response.end();
      cutWhenIdle(response);
    },
  };
}
