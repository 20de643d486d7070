import type { Duplex } from "node:stream";
import { performance } from "node:perf_hooks";
import type { DatabaseError } from "pg";
import { pages, type Page } from "./pages.ts";
import { endsConnection, lost } from "./refusals.ts";
import { parseServerError } from "./server-error.ts";
import { takeOver } from "./socket.ts";
import { statusUpdate } from "./status.ts";

const pageBytes = 2 ** 20;
const smallRead = 32 * 1_024;
const copyBothResponse = 0x57; // W
const errorResponse = 0x45; // E
const commandComplete = 0x43; // C
/** More requests for a status in a second than this mean that the server shuts down. */
const patience = 20;

/** The log as it comes. One reader. */
export interface WalStream {
  /**
   * All pieces since the last call; waits for at least one. Throws when the connection is gone (a
   * RetryableError) or the server gave up (its DatabaseError), after what had come before.
   */
  readonly take: () => Promise<Page>;
  /** Sends `confirmed()` now, not only at the next tick. */
  readonly confirm: () => void;
  /** The newest end of the log that the server has told; 0 before its first word. */
  readonly serverEnd: () => bigint;
  /** Confirms a last time and ends the connection, within a second. May be called twice. */
  readonly close: () => Promise<void>;
}

export interface WalStreamOptions {
  /** For messages. */
  readonly where: string;
  readonly statusMs: number;
  /** A server that says nothing for so long, though asked, is gone. */
  readonly silentMs: number;
  /** Everything up to here is durable: the exact end LSN. */
  readonly confirmed: () => bigint;
  readonly DatabaseError: typeof DatabaseError;
  readonly signal: AbortSignal;
  /** Ends the connection. */
  readonly disconnect: () => Promise<void>;
}

interface Waiting<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Sends `command` (START_REPLICATION …) on a connection that nobody else uses any more, and reads
 * from its socket what follows: the driver would make an object of every message. Resolves when the
 * server starts to send.
 */
export async function walStream(
  socket: Duplex,
  command: string,
  options: WalStreamOptions,
): Promise<WalStream> {
  const { where, confirmed, signal } = options;
  const arrived = pages({ asked, message });
  let opening: Waiting<void> | undefined;
  let reader: Waiting<Page> | undefined;
  let failure: { readonly error: unknown } | undefined;
  let disconnected: Promise<void> | undefined;
  let breath: NodeJS.Timeout | undefined;
  let isFull = false;
  let isScanning = false;
  /** Ticks since the server's last word: counted, since a clock goes on while this process cannot. */
  let unanswered = 0;
  let asks = { since: performance.now(), count: 0 };

  function end(why: unknown): void {
    fail(lost(`the stream of ${where} is`, why));
  }

  /** The first reason counts; whatever it is, the connection ends. */
  function fail(error: unknown): void {
    if (failure) return;
    failure = { error };
    clearInterval(ticking);
    clearTimeout(breath);
    signal.removeEventListener("abort", onAbort);
    opening?.reject(error);
    serve();
    letGo();
    // Nobody wants what is still on its way; unread, it would hide that the server has gone.
    socket.resume();
    disconnected = options.disconnect();
  }

  /** A reader that waits gets what there is; when there is no more, the reason. */
  function serve(): void {
    if (!reader || isScanning) return;
    if (arrived.count() > 0) reader.resolve(arrived.take());
    else if (failure) reader.reject(failure.error);
    else return;
    reader = undefined;
  }

  function onAbort(): void {
    fail(signal.reason);
  }

  function message(type: number, body: Buffer): void {
    if (type === copyBothResponse) opening?.resolve();
    if (type === commandComplete) end("the server shuts down");
    if (type !== errorResponse) return;
    const error = parseServerError(body, options.DatabaseError);
    if (endsConnection(error)) end(error);
    else fail(error);
  }

  function onData(chunk: Buffer): void {
    unanswered = 0;
    isScanning = true;
    try {
      arrived.push(chunk);
    } catch (error) {
      fail(error);
    }
    isScanning = false;
    serve();
    if (arrived.count() === 0 || failure) return;
    if (arrived.size() >= pageBytes) {
      isFull = true;
      socket.pause();
    } else if (chunk.length < smallRead) {
      // The server sends each row by itself, and a busy reader wants few large reads of many.
      socket.pause();
      breath ??= setTimeout(breathe, 1);
    }
  }

  function breathe(): void {
    clearTimeout(breath);
    breath = undefined;
    if (!isFull) socket.resume();
  }

  function confirm(wantsAnswer: boolean): void {
    if (!failure && socket.writable) socket.write(statusUpdate(confirmed(), wantsAnswer));
  }

  /**
   * A server that shuts down waits until all it has sent is confirmed, and asks for it without a
   * pause. Ours may take hours: it is let go, and sends the rest again when it is back.
   */
  function asked(): void {
    const now = performance.now();
    if (now - asks.since > 1_000) asks = { since: now, count: 0 };
    asks.count += 1;
    if (asks.count > patience) end("the server shuts down");
    else confirm(false);
  }

  function tick(): void {
    const silentMs = unanswered * options.statusMs;
    if (silentMs >= options.silentMs) return end(`no word for ${Math.round(silentMs)} ms`);
    // What is not read may well have been said.
    unanswered = isFull ? 0 : unanswered + 1;
    confirm(true);
  }

  const opened = new Promise<void>((resolve, reject) => (opening = { resolve, reject }));
  signal.throwIfAborted();
  const ticking = setInterval(tick, options.statusMs);
  signal.addEventListener("abort", onAbort, { once: true });
  const letGo = takeOver(socket, onData);
  socket.on("error", end);
  socket.on("close", () => end("the server closed it"));
  socket.write(simpleQuery(command));
  try {
    await opened;
  } catch (error) {
    await disconnected;
    throw error;
  }

  return {
    take: async () => {
      signal.throwIfAborted();
      if (reader) throw new Error("postgres: a page is waited for already.");
      if (arrived.count() > 0) {
        const page = arrived.take();
        isFull = false;
        if (breath === undefined) socket.resume();
        return page;
      }
      if (failure) throw failure.error;
      breathe();
      return new Promise((resolve, reject) => (reader = { resolve, reject }));
    },
    confirm: () => confirm(false),
    serverEnd: arrived.serverEnd,
    close: async () => {
      confirm(false);
      end("we closed it");
      await disconnected;
    },
  };
}

function simpleQuery(text: string): Buffer {
  const body = Buffer.from(`${text}\0`);
  const head = Buffer.from("Q    ");
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}
