import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { appendFile, chmod, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import {
  installedPostgres,
  run,
  type Installation,
  type PostgresVersion,
} from "./postgres-install.ts";

export interface PostgresServer {
  readonly version: PostgresVersion;
  readonly port: number;
  /** Its data folder: a test may write `pg_hba.conf`, `standby.signal` or certificates (as its owner). */
  readonly dir: string;
  /** A connection URL of the superuser `postgres`, who needs no password. Default database: `postgres`. */
  readonly url: (database?: string) => string;
  readonly createDatabase: (name?: string) => Promise<{
    readonly name: string;
    readonly url: string;
    /** Ends its connections and walsenders, and drops it with its slots. */
    readonly drop: () => Promise<void>;
  }>;
  /** Like a crash: SIGKILL to the server and its backends. What was committed is there after `restart`. */
  readonly kill: () => Promise<void>;
  /** Like an administrator: clients get 57P01. A walsender whose client confirms nothing is killed after 5 s. */
  readonly shutdown: () => Promise<void>;
  /** Starts it again on the same port and data, whatever it was; what `ALTER SYSTEM` set holds. */
  readonly restart: () => Promise<void>;
  /** Ends it and removes its data. May be called twice. */
  readonly stop: () => Promise<void>;
}

const defaults = {
  wal_level: "logical",
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  // A killed process loses nothing that the system has; only power loss would.
  fsync: "off",
  max_wal_senders: "20",
  max_replication_slots: "20",
  max_prepared_transactions: "10",
  shared_buffers: "32MB",
  lc_messages: "C",
};

/**
 * Starts a PostgreSQL of our own on a free port of 127.0.0.1, with its data in a fresh folder. Works
 * as root too (the server then runs as `nobody`). `settings` go to `postgresql.conf`, over the defaults.
 */
export async function startPostgres(options: {
  readonly version: PostgresVersion;
  readonly settings?: Readonly<Record<string, string>>;
}): Promise<PostgresServer> {
  const { version } = options;
  const install = await installedPostgres(version);
  const { base, dir } = await freshData(install, { ...defaults, ...options.settings });
  let port = 0;
  let server: ChildProcess | undefined;

  const kill = async () => {
    const child = server;
    server = undefined;
    if (child) await killAll(child);
  };
  const start = async () => {
    const deadline = performance.now() + 20_000;
    for (;;) {
      const wanted = port || (await freePort());
      try {
        server = await ready(install, dir, wanted);
        port = wanted;
        return;
      } catch (error) {
        // Another process took the port meanwhile, or a killed backend is not quite dead yet.
        const isPassing = /Address already in use|is still in use|already exists/.test(
          String(error),
        );
        if (!isPassing || performance.now() > deadline) throw error;
        await sleep(20);
      }
    }
  };
  const url = (database = "postgres") =>
    `postgresql://postgres@127.0.0.1:${port}/${encodeURIComponent(database)}`;
  const sql = async (...statements: readonly string[]) => {
    const client = new Client(url());
    await client.connect();
    try {
      for (const statement of statements) await client.query(statement);
    } finally {
      await client.end();
    }
  };
  // A test run that ends without `stop` leaves nothing behind.
  const atExit = () => {
    server?.kill("SIGKILL");
    rmSync(base, { recursive: true, force: true, maxRetries: 3 });
  };
  process.once("exit", atExit);
  let databases = 0;

  await start();
  return {
    version,
    get port() {
      return port;
    },
    dir,
    url,
    createDatabase: async (name = `db${(databases += 1)}`) => {
      const quoted = `"${name.replaceAll('"', '""')}"`;
      await sql(`CREATE DATABASE ${quoted}`);
      return {
        name,
        url: url(name),
        drop: () => dropDatabase(sql, name, quoted),
      };
    },
    kill,
    shutdown: async () => {
      const child = server;
      if (!child) return;
      const ended = once(child, "exit");
      child.kill("SIGINT");
      await Promise.race([ended, sleep(5_000, undefined, { ref: false })]);
      await kill();
    },
    restart: async () => {
      await kill();
      await start();
    },
    stop: async () => {
      process.off("exit", atExit);
      await kill();
      await rm(base, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

let swept: Promise<void> | undefined;

/** Removes what test runs left that were killed by a signal: nobody's, and an hour old. */
async function sweep(tmp: string): Promise<void> {
  for (const name of await readdir(tmp)) {
    const [, pid] = /^sluice-pg-(\d+)-/.exec(name) ?? [];
    if (pid === undefined || isAlive(Number(pid))) continue;
    const path = join(tmp, name);
    const found = await stat(path).catch(() => undefined); // Another process sweeps too.
    if (found && Date.now() - found.mtimeMs > 3_600_000)
      await rm(path, { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** A copy of the template, with these settings. */
async function freshData(install: Installation, settings: Readonly<Record<string, string>>) {
  swept ??= sweep(install.tmp);
  await swept;
  const base = await mkdtemp(join(install.tmp, `sluice-pg-${process.pid}-`));
  await chmod(base, 0o755);
  const dir = join(base, "data");
  await run("cp", ["-a", install.template, dir]);
  const lines = Object.entries(settings).map(
    ([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`,
  );
  await appendFile(join(dir, "postgresql.conf"), lines.join(""));
  return { base, dir };
}

/** Resolves with the process once it takes connections, rejects with its last words when it ends before. */
function ready(install: Installation, dir: string, port: number): Promise<ChildProcess> {
  return new Promise((resolve, reject) => {
    const child = spawn(join(install.bin, "postgres"), ["-D", dir, "-p", `${port}`], {
      stdio: ["ignore", "ignore", "pipe"],
      cwd: dir,
      env: { ...process.env, LC_ALL: "C" },
      ...install.owner,
    });
    let output = "";
    child.stderr.on("data", (text: Buffer) => {
      output = (output + text.toString()).slice(-4_000);
      if (/ready to accept (read-only )?connections/.test(output)) resolve(child);
    });
    child.once("error", (cause) =>
      reject(
        new Error(`postgres cannot be started from ${install.bin}: remove that folder.`, { cause }),
      ),
    );
    child.once("exit", (code, signal) =>
      reject(new Error(`postgres ended (${code ?? signal}):\n${output}`)),
    );
  });
}

/** Every backend is a session of its own, so that no signal reaches all: they are stopped, listed and killed. */
async function killAll(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGSTOP");
  const backends = await children(child.pid);
  child.kill("SIGKILL");
  for (const pid of backends)
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has just ended by itself.
    }
  await ended;
}

async function children(pid: number): Promise<readonly number[]> {
  const listed = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => undefined);
  if (listed !== undefined) return listed.trim().split(" ").filter(Boolean).map(Number);
  const all = await run("ps", ["-A", "-o", "pid=,ppid="]);
  return all
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([child = 0, parent]) => (parent === pid ? [child] : []));
}

async function dropDatabase(
  sql: (...statements: readonly string[]) => Promise<void>,
  name: string,
  quoted: string,
): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;)
    try {
      await sql(
        `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots
         WHERE active AND database = '${name.replaceAll("'", "''")}'`,
        `DROP DATABASE IF EXISTS ${quoted} WITH (FORCE)`,
      );
      return;
    } catch (error) {
      // 55006: a walsender that was told to end has not ended yet.
      const isBusy = error instanceof Error && "code" in error && error.code === "55006";
      if (!isBusy || performance.now() > deadline) throw error;
      await sleep(20);
    }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}
