import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { statSync, truncateSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { aofOf } from "./power-cut.ts";

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** Like a crash: SIGKILL. Data that the append-only file has is there after `restart`. */
  readonly kill: () => Promise<void>;
  /** Ends it and removes its data. May be called twice. */
  readonly stop: () => Promise<void>;
  /** Starts it again on the same port and data; kills it first when it runs. `from`: as it was at that mark. */
  readonly restart: (from?: number) => Promise<void>;
  /** This moment, to go back to. Only what it answered before is certainly in. */
  readonly mark: () => number;
  /** Cuts every connection to it. */
  readonly cut: () => Promise<void>;
  /** Stands still, as a machine under too much load does, until it is to go on. */
  readonly freeze: () => void;
  readonly thaw: () => void;
}

/**
 * Starts a `redis-server` of our own on a free port with its data in a fresh directory: append-only
 * file, fsync every second. `args` go behind these, so they win.
 */
export function startRedis(args: readonly string[] = []): Promise<RedisServer> {
  return startServer(({ port, dir }) =>
    `--port ${port} --bind 127.0.0.1 --dir ${dir} --appendonly yes --appendfsync everysec --auto-aof-rewrite-min-size 1gb`
      .split(" ")
      .concat("--save", "", args),
  );
}

/** Starts a `redis-server` with other arguments altogether: those of a sentinel. */
export async function startServer(
  argumentsOf: (place: { readonly port: number; readonly dir: string }) => readonly string[],
): Promise<RedisServer> {
  const dir = await mkdtemp(join(tmpdir(), "sluice-redis-"));
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}`;
  const args = argumentsOf({ port, dir });
  let server: ChildProcess | undefined;

  const start = async () => {
    const child = spawn("redis-server", args, { stdio: ["ignore", "pipe", "pipe"] });
    server = child;
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (text: Buffer) => (output = (output + text.toString()).slice(-2_000)));
    const failed = new Promise<never>((_, reject) => {
      child.once("error", (cause) =>
        reject(
          new Error(
            "redis-server cannot be started: install it (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis), or name a running one in SLUICE_TEST_REDIS.",
            { cause },
          ),
        ),
      );
      child.once("exit", (code) => reject(new Error(`redis-server ended (${code}):\n${output}`)));
    });
    failed.catch(() => {}); // later exits are wanted ones
    await Promise.race([answers(port), failed]);
  };

  const kill = async () => {
    const child = server;
    server = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };

  await start();
  return {
    url,
    port,
    kill,
    stop: async () => {
      await kill();
      await rm(dir, { recursive: true, force: true });
    },
    restart: async (from) => {
      await kill();
      if (from !== undefined) truncateSync(aofOf(dir), from);
      await start();
    },
    cut: async () => {
      const client = new Redis(port, "127.0.0.1", { maxRetriesPerRequest: null });
      await client.client("KILL", "TYPE", "normal", "SKIPME", "yes");
      client.disconnect();
    },
    mark: () => statSync(aofOf(dir)).size,
    freeze: () => void server?.kill("SIGSTOP"),
    thaw: () => void server?.kill("SIGCONT"),
  };
}

/** The Redis named by SLUICE_TEST_REDIS, else one of our own. */
export async function testRedis(): Promise<{
  readonly url: string;
  readonly stop: () => Promise<void>;
}> {
  const url = process.env["SLUICE_TEST_REDIS"];
  return url ? { url, stop: async () => {} } : startRedis();
}

/** Waits for an answer to PING, be it a demand for a password; not while it still loads its data. */
async function answers(port: number): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!/^(\+PONG|-NOAUTH)/.test(await ping(port))) {
    if (performance.now() > deadline)
      throw new Error(`redis-server on port ${port} does not answer.`);
    await sleep(20);
  }
}

function ping(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("PING\r\n"));
    const answer = (text: string) => (socket.destroy(), resolve(text));
    socket.once("data", (data) => answer(data.toString()));
    socket.once("error", () => answer(""));
  });
}

/** Free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}
