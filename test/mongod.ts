import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MongoClient, type MongoClientOptions } from "mongodb";

/** One server of a replica set. */
export interface Member {
  readonly port: number;
  /** Only this server, whatever the set says. */
  readonly url: string;
  /** SIGKILL by default. With SIGSTOP it freezes: connections stay open and nothing answers. */
  readonly kill: (signal?: NodeJS.Signals) => Promise<void>;
  /** Starts it again on its port and data; nothing while it runs. */
  readonly start: () => Promise<void>;
}

export interface ReplicaSet {
  readonly url: string;
  readonly members: readonly Member[];
  /** A client that `stop` closes. */
  readonly client: (options?: MongoClientOptions) => MongoClient;
  /** The member that takes writes now. */
  readonly primary: () => Promise<Member>;
  /** Ends all and removes their data. May be called twice. */
  readonly stop: () => Promise<void>;
}

export interface MongodOptions {
  /** Default 1. */
  readonly members?: number;
  /** Default 16. */
  readonly oplogMB?: number;
  /** Default 0.25. Documents of 16 MB need more. */
  readonly cacheGB?: number;
  /** A user `root` with the password `secret`; without it nobody gets in. */
  readonly auth?: boolean;
  /** One server that is no replica set. */
  readonly standalone?: boolean;
  /** Put behind the others. */
  readonly args?: readonly string[];
  /** What a client needs to get in at all, e.g. for TLS. */
  readonly client?: MongoClientOptions;
}

/** Starts a mongod replica set of our own on free ports with its data in a fresh folder. */
export async function startMongod(options: MongodOptions = {}): Promise<ReplicaSet> {
  const { members: count = 1, auth = false, standalone = false } = options;
  const { args = [], client: always = {} } = options;
  const dir = await mkdtemp(join(tmpdir(), "sluice-mongod-"));
  const keyFile = join(dir, "key");
  await writeFile(keyFile, randomBytes(96).toString("base64"), { mode: 0o400 });
  const clients = new Set<MongoClient>();
  const members: Member[] = [];
  const stop = async () => {
    await Promise.allSettled([...clients].map((one) => one.close()));
    await Promise.all(members.map((one) => one.kill()));
    await rm(dir, { recursive: true, force: true });
  };
  try {
    for (let at = 0; at < count; at++) {
      const security = auth ? ["--keyFile", keyFile] : [];
      const { oplogMB = 16, cacheGB = 0.25 } = options;
      const sizes = ["--oplogSize", `${oplogMB}`, "--wiredTigerCacheSizeGB", `${cacheGB}`];
      const kind = standalone ? [] : ["--replSet", "rs0"];
      const more = [...sizes, ...kind, ...security, ...args];
      members.push(await openMember(join(dir, `${at}`), more));
    }
    await Promise.all(members.map((one) => one.start()));
    if (!standalone) await initiate(members, auth, always);
  } catch (error) {
    await stop();
    throw error;
  }

  const hosts = members.map(({ port }) => `127.0.0.1:${port}`).join(",");
  const set = standalone ? "" : "?replicaSet=rs0";
  const url = `mongodb://${auth ? "root:secret@" : ""}${hosts}/${set}`;
  const client = (more: MongoClientOptions = {}) => {
    const one = new MongoClient(url, { ...always, ...more });
    clients.add(one);
    return one;
  };
  return {
    url,
    members,
    client,
    stop,
    primary: async () => {
      const one = client();
      const { primary } = await one.db("admin").command({ hello: 1 });
      await one.close();
      const found = members.find(({ port }) => String(primary).endsWith(`:${port}`));
      if (!found) throw new Error(`no primary: ${primary}`);
      return found;
    },
  };
}

async function openMember(data: string, args: readonly string[]): Promise<Member> {
  const bin = binary();
  const port = await freePort();
  await mkdir(data);
  let child: ChildProcess | undefined;
  const isRunning = () => child?.exitCode === null && child.signalCode === null;
  const all = [
    `--port ${port} --dbpath ${data} --bind_ip 127.0.0.1 --nounixsocket`,
    // The oplog is cut at checkpoints: every second instead of every minute.
    "--syncdelay 1",
    // 13 MB of data a member instead of 300.
    "--wiredTigerEngineConfigString log=(prealloc=false,file_max=8MB)",
    "--setParameter diagnosticDataCollectionEnabled=false",
    "--setParameter enableTestCommands=1",
  ]
    .flatMap((line) => line.split(" "))
    .concat(args);
  return {
    port,
    url: `mongodb://127.0.0.1:${port}/?directConnection=true`,
    start: async () => {
      if (isRunning()) return;
      // Its own libraries, and it dies with us.
      const env = { ...process.env, LD_LIBRARY_PATH: dirname(bin) };
      const pre = existsSync("/usr/bin/setpriv") ? ["setpriv", "--pdeathsig", "KILL", bin] : [bin];
      const [command = bin, ...before] = pre;
      child = spawn(command, [...before, ...all], { env, stdio: ["ignore", "pipe", "pipe"] });
      await listening(child);
    },
    kill: async (signal = "SIGKILL") => {
      if (!child || !isRunning()) return;
      const ends = signal !== "SIGSTOP" && signal !== "SIGCONT";
      const ended = ends && once(child, "exit");
      child.kill(signal);
      await ended;
    },
  };
}

/** Also drains the output for good: a full pipe would stop the server. */
async function listening(child: ChildProcess): Promise<void> {
  let output = "";
  await new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (text: Buffer) => {
        output += text.toString();
        if (output.includes("Waiting for connections")) resolve();
        output = output.slice(-4_000);
      });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`mongod ended (${code}):\n${output}`)));
  });
}

async function initiate(
  members: readonly Member[],
  auth: boolean,
  options: MongoClientOptions,
): Promise<void> {
  const [first] = members;
  if (!first) throw new Error("a replica set has members");
  const client = new MongoClient(first.url, options);
  try {
    const admin = client.db("admin");
    await admin.command({
      replSetInitiate: {
        _id: "rs0",
        // Of equal priority: nobody takes over from a primary that is well.
        members: members.map(({ port }, _id) => ({ _id, host: `127.0.0.1:${port}` })),
        settings: {
          electionTimeoutMillis: 1_000,
          heartbeatIntervalMillis: 200,
          catchUpTimeoutMillis: 2_000,
        },
      },
    });
    await until(async () => (await admin.command({ hello: 1 })).isWritablePrimary === true);
    if (auth) {
      // The localhost exception allows exactly this one user.
      await admin.command({ createUser: "root", pwd: "secret", roles: ["root"] });
      return;
    }
    await until(async () => {
      const { members: states } = await admin.command({ replSetGetStatus: 1 });
      return (states as { state: number }[]).every(({ state }) => state === 1 || state === 2);
    });
  } finally {
    await client.close();
  }
}

async function until(what: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!(await what())) {
    if (performance.now() > deadline) throw new Error(`never came true: ${what.toString()}`);
    await sleep(20);
  }
}

/** Where scripts/setup-mongod.mjs puts it, or SLUICE_MONGOD. */
function binary(): string {
  const cache = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  const ours = join(cache, "sluice-tests/mongod-6.0.27/fiftyone/db/bin/mongod");
  const bin = process.env["SLUICE_MONGOD"] ?? ours;
  if (!existsSync(bin))
    throw new Error(
      `There is no mongod at ${bin}: run \`node scripts/setup-tests.mjs\`, or name one in SLUICE_MONGOD.`,
    );
  return bin;
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
