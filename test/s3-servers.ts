import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "sluice-tests");

/** A server that speaks S3. `forcePathStyle` and the region `us-east-1` belong to both kinds. */
export interface S3Server {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Stops answering and goes on with `SIGCONT`: `SIGSTOP` is a network that hangs. */
  readonly signal: (signal: NodeJS.Signals) => void;
  /** Ends it and removes its data. May be called twice. */
  readonly stop: () => Promise<void>;
}

/** With SQS at the same endpoint, into which it emits the events of its own S3. */
export interface Ministack extends S3Server {
  /** A clean stop and a start on the same port and data. */
  readonly restart: () => Promise<void>;
}

/**
 * Starts ministack (S3, SQS, SNS) on a free port, signatures and policies enforced. Its data lies in
 * memory; with `isKept` on disk, and survives a `restart`.
 */
export async function startMinistack(options: { isKept?: boolean } = {}): Promise<Ministack> {
  const command = join(cache, "ministack-1.5.33/bin/ministack");
  if (!existsSync(command))
    throw new Error("ministack is not installed: run `node scripts/setup-tests.mjs`.");
  const dir = await mkdtemp(join(tmpdir(), "sluice-ministack-"));
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const kept = {
    S3_PERSIST: "1",
    S3_DATA_DIR: join(dir, "s3"),
    PERSIST_STATE: "1",
    STATE_DIR: join(dir, "state"),
  };
  const env = {
    BIND_HOST: "127.0.0.1",
    GATEWAY_PORT: String(port),
    SERVICES: "s3,sqs,sns,events,iam,sts",
    AUTH: "true",
    LOG_LEVEL: "WARNING",
    ...(options.isKept ? kept : {}),
  };
  let child = await start(command, [], { env, dir, endpoint });
  const keys = await makeUser(endpoint);
  return {
    endpoint,
    ...keys,
    signal: (signal) => void child.kill(signal),
    restart: async () => {
      await end(child, "SIGTERM");
      child = await start(command, [], { env, dir, endpoint });
    },
    stop: async () => {
      await end(child, "SIGKILL");
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** A user who may do everything: the root key `test` is asked for no signature and bound by no policy. */
async function makeUser(endpoint: string) {
  const credential = "test/20260101/us-east-1/iam/aws4_request";
  const authorization = `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=host, Signature=0`;
  const ask = async (fields: Record<string, string>) => {
    const body = new URLSearchParams({ Version: "2010-05-08", UserName: "sluice", ...fields });
    const response = await fetch(endpoint, { method: "POST", headers: { authorization }, body });
    return response.text();
  };
  const all = {
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Action: "*", Resource: "*" }],
  };
  await ask({ Action: "CreateUser" });
  await ask({ Action: "PutUserPolicy", PolicyName: "all", PolicyDocument: JSON.stringify(all) });
  const made = await ask({ Action: "CreateAccessKey" });
  const between = (tag: string) => made.split(`<${tag}>`)[1]?.split("<")[0] ?? "";
  return { accessKeyId: between("AccessKeyId"), secretAccessKey: between("SecretAccessKey") };
}

/**
 * Starts Ceph's radosgw on a free port, over a monitor and an object store that live in memory: a
 * second S3 that shares nothing with the first. Bucket policies are enforced, also for the owner.
 */
export async function startRadosgw(): Promise<S3Server> {
  const dir = await mkdtemp(join(tmpdir(), "sluice-radosgw-"));
  const at = (name: string) => join(dir, name);
  const [port, monitorPort] = [await freePort(), await freePort()];
  const endpoint = `http://127.0.0.1:${port}`;
  const keys = { accessKeyId: "S3RVER", secretAccessKey: "S3RVER" };
  const env = { CEPH_CONF: at("ceph.conf") };
  const options = { env: { ...process.env, ...env }, timeout: 30_000 };
  const ceph = (command: string, ...args: string[]) =>
    run(command, args, options).catch((cause: unknown) => {
      throw new Error(
        `${command} failed. Is it installed? Debian, Ubuntu: apt-get install radosgw ceph-mon ceph-osd ceph-common`,
        { cause },
      );
    });

  for (const name of ["mon", "osd", "run"]) await mkdir(at(name));
  await writeFile(at("ceph.conf"), configOfCeph(dir, port, monitorPort));
  for (const [n, name] of ["mon.", "client.admin", "osd.0"].entries()) {
    const caps = ["mon", "osd"].flatMap((daemon) => ["--cap", daemon, "allow *"]);
    const create = n === 0 ? ["--create-keyring"] : [];
    await ceph("ceph-authtool", at("keyring"), ...create, "-n", name, "--gen-key", ...caps);
  }
  const place = `[v2:127.0.0.1:${monitorPort}]`;
  await ceph("monmaptool", "--create", "--fsid", clusterId, "--addv", "a", place, at("monmap"));
  const monitor = ["--monmap", at("monmap"), "--keyring", at("keyring")];
  await ceph("ceph-mon", "-i", "a", "--mkfs", ...monitor);

  const children: ChildProcess[] = [];
  const stop = async () => {
    await Promise.all(children.splice(0).map((child) => end(child, "SIGKILL")));
    await rm(dir, { recursive: true, force: true });
  };
  try {
    children.push(await start("ceph-mon", ["-f", "-i", "a"], { env, dir }));
    await ceph("ceph", "osd", "new", storeId);
    await ceph("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", storeId);
    children.push(await start("ceph-osd", ["-f", "-i", "0"], { env, dir }));
    const user = ["--uid=sluice", "--display-name=sluice", "--access-key=S3RVER"];
    await ceph("radosgw-admin", "user", "create", ...user, "--secret-key=S3RVER");
    const gateway = await start("radosgw", ["-f", "-n", "client.admin"], { env, dir, endpoint });
    children.push(gateway);
    return { endpoint, ...keys, signal: (signal) => void gateway.kill(signal), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const clusterId = "11111111-1111-4111-8111-111111111111";
const storeId = "22222222-2222-4222-8222-222222222222";

/** One copy of everything, in memory, without a manager; the monitor decides at once. */
function configOfCeph(dir: string, port: number, monitorPort: number): string {
  return `
[global]
fsid = ${clusterId}
mon_host = [v2:127.0.0.1:${monitorPort}]
ms_bind_msgr1 = false
public_addr = 127.0.0.1
keyring = ${dir}/keyring
run_dir = ${dir}/run
admin_socket = ${dir}/run/$name.$pid.asok
log_file = ${dir}/$name.log
log_to_stderr = false
mon_data = ${dir}/mon
mon_allow_pool_size_one = true
mon_data_avail_crit = 0
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
osd_data = ${dir}/osd
osd_objectstore = memstore
memstore_device_bytes = 2147483648
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
rgw_frontends = beast endpoint=127.0.0.1:${port}
rgw_enable_quota_threads = false
rgw_run_sync_thread = false
rgw_thread_pool_size = 64
`;
}

/** Starts a server; with an endpoint, resolves when it answers there. */
async function start(
  command: string,
  args: readonly string[],
  run: {
    readonly env: Record<string, string>;
    readonly dir: string;
    readonly endpoint?: string;
  },
): Promise<ChildProcess> {
  const { env, dir, endpoint } = run;
  const child = spawn(command, args, {
    cwd: dir,
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let output = "";
  child.stderr.on("data", (text: Buffer) => (output = (output + text.toString()).slice(-2_000)));
  const failed = new Promise<never>((_, reject) => {
    child.once("error", (cause) => reject(new Error(`${command} cannot be started.`, { cause })));
    child.once("exit", (code) => reject(new Error(`${command} ended (${code}):\n${output}`)));
  });
  failed.catch(() => {}); // later exits are wanted ones
  if (endpoint) await Promise.race([answers(endpoint), failed]);
  return child;
}

async function answers(endpoint: string): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const response = await fetch(endpoint, { signal: AbortSignal.timeout(2_000) }).catch(() => {});
    await response?.text();
    if (response) return;
    if (performance.now() > deadline) throw new Error(`${endpoint} does not answer.`);
    await sleep(20);
  }
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill(signal);
  child.kill("SIGCONT");
  const late = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await ended;
  clearTimeout(late);
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
