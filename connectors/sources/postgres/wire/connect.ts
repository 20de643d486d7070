import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client, ClientConfig } from "pg";
import { cancel } from "./cancel.ts";
import { endsConnection, lost, toRefusal } from "./refusals.ts";
import { frugalSocket } from "./socket.ts";
import { startupOptions } from "./settings.ts";
import type { Tuple } from "./tuple.ts";
import { parseTarget, type Target } from "./url.ts";

const connectTimeoutMs = 10_000;
const goodbyeMs = 500;

export type Parameter = string | number | boolean | null | readonly string[];

/** An open connection: texts in, texts out. */
export interface Connection {
  readonly client: Client;
  /** The server's process. */
  readonly pid: number;
  /** `host:port`, for messages. */
  readonly where: string;
  /** Aborts, with the error, when the connection breaks without our closing it. */
  readonly lost: AbortSignal;
  /** Runs a statement, after those asked for before it. */
  readonly query: (sql: string, parameters?: readonly Parameter[]) => Promise<readonly Tuple[]>;
  /** Ends it within a second; a statement that still runs is cancelled. May be called twice. */
  readonly close: () => Promise<void>;
}

/**
 * Connects; an abort of `signal` closes, and what waits rejects with its reason. A refused or broken
 * connection throws a RetryableError; a refused statement throws the driver's DatabaseError, with its
 * SQLSTATE in `code`.
 */
export async function connect(
  options: { readonly url: string; readonly ca?: string | undefined },
  run: { readonly name: string; readonly signal: AbortSignal },
  kind: { readonly replication: boolean; readonly settings: Readonly<Record<string, string>> },
): Promise<Connection> {
  const { signal } = run;
  const target = await parseTarget(options);
  const pg = await import("pg");
  signal.throwIfAborted();
  const client = new pg.Client(toConfig(target, run.name, kind));
  guardParser(client);
  const where = `${target.host}:${target.port}`;
  let broken: Error | undefined;
  const gone = new AbortController();
  const onBroken = (error: Error) => {
    broken ??= error;
    if (!closing) gone.abort(lost(`the connection to ${where} is`, broken));
  };
  client.on("error", onBroken);
  client.on("end", () => onBroken(new Error("it was closed")));
  const key = { processID: 0, secretKey: 0 };
  client.connection.on("backendKeyData", (given: typeof key) => Object.assign(key, given));

  let isReady = false;
  let running = 0;
  let last: Promise<unknown> = Promise.resolve();
  let closing: Promise<void> | undefined;

  async function shut(): Promise<void> {
    signal.removeEventListener("abort", onAbort);
    const late = new AbortController();
    if (isReady && running === 0)
      await Promise.race([client.end(), sleep(goodbyeMs, undefined, late).catch(() => {})]);
    late.abort();
    client.connection.stream.destroy();
    if (running > 0 && !broken) await cancel(target, key.processID, key.secretKey);
  }
  const close = () => (closing ??= shut());
  const onAbort = () => void close();

  async function execute(sql: string, values: readonly Parameter[]): Promise<readonly Tuple[]> {
    signal.throwIfAborted();
    if (broken || closing) throw lost(`the connection to ${where} is`, broken ?? "we closed it");
    running += 1;
    try {
      const answer: unknown = await client.query({
        text: sql,
        values: [...values],
        rowMode: "array",
      });
      // Several statements at once have several answers: the last one counts.
      const { rows } = (Array.isArray(answer) ? answer.at(-1) : answer) as { rows: Tuple[] };
      return rows;
    } catch (error) {
      signal.throwIfAborted();
      if (broken || endsConnection(error)) throw lost(`the connection to ${where} is`, error);
      throw error;
    } finally {
      running -= 1;
    }
  }

  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await client.connect();
    isReady = true;
    signal.throwIfAborted();
  } catch (error) {
    await close();
    signal.throwIfAborted();
    throw toRefusal(error, target);
  }
  return {
    client,
    pid: key.processID,
    where,
    lost: gone.signal,
    query: (sql, parameters = []) => {
      // The driver wants one statement at a time.
      const answer = last.then(() => execute(sql, parameters));
      last = answer.catch(() => {}); // its caller has the error
      return answer;
    },
    close,
  };
}

/**
 * The driver's parser throws in the socket's callback at what it does not know (a server that wants
 * Kerberos): nobody could catch it, and the process would end. Here the connection ends instead.
 */
function guardParser(client: Client): void {
  // Not in the driver's types: called with the socket, once it is the one to read from.
  const connection = client.connection as unknown as { attachListeners: (socket: Duplex) => void };
  const attach = connection.attachListeners.bind(connection);
  connection.attachListeners = (socket) => {
    attach(socket);
    const listeners = socket.listeners("data");
    socket.removeAllListeners("data");
    socket.on("data", (chunk: Buffer) => {
      try {
        for (const parse of listeners) parse.call(socket, chunk);
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
  };
}

function toConfig(
  target: Target,
  name: string,
  kind: { readonly replication: boolean; readonly settings: Readonly<Record<string, string>> },
): ClientConfig & { readonly replication?: string } {
  return {
    host: target.host,
    port: target.port,
    database: target.database,
    user: target.user,
    // A function is neither looked up in ~/.pgpass nor printed with the client.
    password: () => target.password ?? "",
    ssl: target.tls ?? false,
    sslnegotiation: "postgres",
    application_name: `sluice ${name}`,
    options: startupOptions(target.options, kind.settings),
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    connectionTimeoutMillis: connectTimeoutMs,
    types: { getTypeParser: () => asIs },
    ...(kind.replication && { replication: "database" }),
    ...(kind.replication && !target.tls && { stream: frugalSocket }),
  };
}

const asIs = (text: string): string => text;
