import { access } from "node:fs/promises";
import { ConfigError, SluiceError } from "sluice";
import type { BSON, Document, MongoClient, MongoClientOptions, Timestamp } from "mongodb";
import type { Options } from "./config.ts";
import { terms, type Terms } from "./term.ts";
import { codeOf, explained, isPassing, messageOf, notReplicaSet, unreachable } from "./problems.ts";

/** A replica set or sharded cluster that answers. */
export interface Deployment {
  readonly client: MongoClient;
  /** The driver's own BSON, which is loaded with it. */
  readonly bson: typeof BSON;
  readonly isSharded: boolean;
  /** The URL names one server and has the driver look for no other. */
  readonly isDirect: boolean;
  /** The set's name. */
  readonly name: string;
  /** Of the set or cluster, where the user may read it: a copy made elsewhere has another. */
  readonly id: string | undefined;
  readonly version: string;
  /** The server can send a large event in pieces. */
  readonly splits: boolean;
  /** Cluster time at the moment of connecting. */
  readonly now: bigint;
  readonly terms: Terms;
  readonly close: () => Promise<void>;
}

/**
 * How long a command waits for a primary, and how soon a dead one is noticed. With the driver's defaults a
 * stream on a host that died silently would stand still for more than a minute.
 */
const patience = {
  serverSelectionTimeoutMS: 5_000,
  connectTimeoutMS: 5_000,
  heartbeatFrequencyMS: 2_000,
};
const closeWithinMs = 500;
const harmless =
  /^(options? [\w, ]+ (is|are) not supported|Password contains unescaped characters|mongodb\+srv URI cannot have port number|directConnection option requires exactly one host)$/;

/** Connects. Throws `ConfigError` where only another config helps, `RetryableError` where time or a person may. */
export async function connect(
  options: Pick<Options, "url" | "ca" | "certificate">,
  run: {
    readonly signal: AbortSignal;
  },
): Promise<Deployment> {
  const driver = await import("mongodb");
  for (const path of [options.ca, options.certificate]) await assertReadable(path);
  const make = (url: string, more: MongoClientOptions = {}) =>
    open(() => new driver.MongoClient(fromPrimary(url), { ...clientOptions(options), ...more }));
  let client = make(options.url);
  let within = terms(client);
  const close = () => closed(client);
  try {
    const ask = (command: Document) => client.db("admin").command(command, { signal: run.signal });
    const hello = await ask({ hello: 1 });
    const isSharded = hello["msg"] === "isdbgrid";
    if (!isSharded && typeof hello["setName"] !== "string") throw notReplicaSet();
    if (isSharded && client.options.hosts.length > 1) {
      await closed(client);
      // A cursor lives in one mongos: all commands must go through the same.
      client = isSrv(options.url)
        ? make(options.url, { srvMaxHosts: 1 })
        : make(withOneHost(options.url));
      within = terms(client);
    }
    const { version } = await ask({ buildInfo: 1 });
    return {
      client,
      bson: driver.BSON,
      isSharded,
      isDirect: client.options.directConnection,
      name: isSharded ? "sharded" : String(hello["setName"]),
      id: isSharded ? await clusterId(client) : await replicaSetId(ask),
      version: String(version),
      splits: canSplit(String(version)),
      now: toTime(hello["operationTime"]),
      terms: within,
      close,
    };
  } catch (error) {
    await close();
    run.signal.throwIfAborted();
    const isAnswer = error instanceof SluiceError || codeOf(error) !== undefined;
    throw isAnswer && !isPassing(error) ? explained(error) : unreachable(error);
  }
}

/** Seconds in the upper 32 bits; 0 where the server tells no time. */
export function toTime(timestamp: Timestamp | undefined): bigint {
  return timestamp === undefined ? 0n : (BigInt(timestamp.t) << 32n) | BigInt(timestamp.i);
}

export function toTimestamp(time: bigint, bson: typeof BSON): Timestamp {
  return new bson.Timestamp({ t: Number(time >> 32n), i: Number(time & 0xffff_ffffn) });
}

function clientOptions({
  url,
  ca,
  certificate,
}: Parameters<typeof connect>[0]): MongoClientOptions {
  const isGiven = (name: string) => new RegExp(`[?&]${name}=`, "i").test(url);
  const ours = Object.entries(patience).filter(([name]) => !isGiven(name));
  return {
    ...Object.fromEntries(ours),
    ...(isGiven("appName") ? {} : { appName: "sluice" }),
    ...(ca === undefined ? {} : { tls: true, tlsCAFile: ca }),
    ...(certificate === undefined ? {} : { tls: true, tlsCertificateKeyFile: certificate }),
  };
}

function open(make: () => MongoClient): MongoClient {
  try {
    return make();
  } catch (cause) {
    // Other messages repeat what may be secret.
    const reason = harmless.exec(messageOf(cause))?.[0];
    const why = reason === undefined ? "" : `: ${reason}`;
    throw new ConfigError(`mongodb: the driver does not understand \`url\`${why}.`, {
      code: "mongodb.url",
      fix: "Write mongodb://USER:PASSWORD@HOST:PORT/?OPTIONS, with special characters percent-encoded.",
      cause,
    });
  }
}

async function assertReadable(path: string | undefined): Promise<void> {
  if (path === undefined) return;
  await access(path).catch((cause: unknown) => {
    throw new ConfigError(
      `mongodb: the certificate file "${path}" cannot be read: ${messageOf(cause)}.`,
      {
        code: "mongodb.certificate-unreadable",
        fix: "Check the path and its permissions.",
        cause,
      },
    );
  });
}

/** With no host up the driver waits for one before it closes: nobody waits for that. */
async function closed(client: MongoClient): Promise<void> {
  const late = new Promise((resolve) => setTimeout(resolve, closeWithinMs).unref());
  await Promise.race([client.close(true).catch(() => undefined), late]); // it is being left anyway
}

/** Needs the right to see the set's configuration. */
async function replicaSetId(
  ask: (command: Document) => Promise<Document>,
): Promise<string | undefined> {
  try {
    const { config } = await ask({ replSetGetConfig: 1 });
    return String(config.settings.replicaSetId);
  } catch (error) {
    return withoutRight(error);
  }
}

async function clusterId(client: MongoClient): Promise<string | undefined> {
  try {
    const found = await client.db("config").collection("version").findOne({});
    return found?.["clusterId"] === undefined ? undefined : String(found["clusterId"]);
  } catch (error) {
    return withoutRight(error);
  }
}

/** Not permitted, or not offered: hosted servers have codes of their own for that. */
function withoutRight(error: unknown): undefined {
  if (isPassing(error)) throw error;
}

/** Whatever the URL prefers: another member may not know of a collection yet that the stream has told of. */
function fromPrimary(url: string): string {
  return url.replaceAll(
    /(?<=[?&])(readPreference|readPreferenceTags|maxStalenessSeconds)=[^&]*&?/gi,
    "",
  );
}

function isSrv(url: string): boolean {
  return url.startsWith("mongodb+srv://");
}

/** Another one each time, so that a dead one is passed by at the next start. */
function withOneHost(url: string): string {
  return url.replace(/^(mongodb:\/\/(?:[^@/]*@)?)([^/?]+)/, (_, before: string, hosts: string) => {
    const all = hosts.split(",");
    return before + (all[Math.floor(Math.random() * all.length)] ?? hosts);
  });
}

/** `$changeStreamSplitLargeEvent` came with 7.0 and 6.0.9. */
function canSplit(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version
    .split(".")
    .map((part) => Number.parseInt(part, 10));
  return major >= 7 || (major === 6 && (minor > 0 || patch >= 9));
}
