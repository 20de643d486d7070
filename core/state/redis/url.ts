/** A Redis URL, taken apart: one server, a cluster, or a primary that sentinels know. */
export interface RedisUrl {
  readonly kind: "one" | "cluster" | "sentinel";
  readonly tls: boolean;
  /** Servers to begin with: any of a cluster, the sentinels, or the one. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly username?: string;
  readonly password?: string;
  /** Of the sentinels, where they ask for one. */
  readonly sentinelPassword?: string;
  /** What the sentinels call the primary. */
  readonly primary?: string;
  readonly db?: number;
  /** How many replicas must have a write before it counts. */
  readonly replicas: number;
  /** The URL without credentials, for messages. */
  readonly place: string;
}

const whole =
  /^(rediss?)(?:\+(cluster|sentinel))?:\/\/(?:([^/?#]*)@)?([^@/?#]+)([^?#]*)(\?[^#]*)?$/;
const defaultPorts = { one: 6379, cluster: 6379, sentinel: 26_379 };

/** What `queue` and `state` may say, for messages. */
export const redisForms =
  "redis://HOST:PORT, redis+cluster://HOST:PORT,HOST:PORT or redis+sentinel://HOST:PORT,HOST:PORT/PRIMARY (rediss… with TLS)";

/** `undefined` where it is no URL that a client takes: then it may hold a password anywhere, and is not to be shown. */
export function parseRedisUrl(text: string): RedisUrl | undefined {
  const parts = whole.exec(text);
  if (!parts) return undefined;
  const [, scheme = "", form, login = "", servers = "", path = "", query = ""] = parts;
  const kind = form === "cluster" || form === "sentinel" ? form : "one";
  const hosts = servers.split(",").map((server) => toHost(server, defaultPorts[kind]));
  const target = kind === "sentinel" ? /^\/([^/]+)(?:\/(\d*))?$/ : /^(?:\/(\d*))?$/;
  const where = target.exec(path);
  const options = optionsOf(query, kind);
  if (!where || !options || hosts.some((host) => host === undefined)) return undefined;
  if (kind === "one" && hosts.length > 1) return undefined;
  const [primary, database] = kind === "sentinel" ? [where[1], where[2]] : [undefined, where[1]];
  if (kind === "cluster" && Number(database ?? 0) !== 0) return undefined; // a cluster has one database
  const colon = login.indexOf(":");
  const [username, password] =
    colon < 0 ? [login, ""] : [login.slice(0, colon), login.slice(colon + 1)];
  try {
    return {
      kind,
      tls: scheme === "rediss",
      hosts: hosts as RedisUrl["hosts"], // none is undefined, see above
      ...(username && { username: decodeURIComponent(username) }),
      ...(password && { password: decodeURIComponent(password) }),
      ...(primary !== undefined && { primary: decodeURIComponent(primary) }),
      ...(database && { db: Number(database) }),
      ...(options.sentinelPassword && { sentinelPassword: options.sentinelPassword }),
      replicas: options.replicas ?? (kind === "one" ? 0 : 1),
      place: `${scheme}${form ? `+${form}` : ""}://${servers}${path === "/" ? "" : path}`,
    };
  } catch {
    return undefined; // a % that encodes nothing
  }
}

/**
 * The address in a Redis URL, without user, password and options, as messages may show it. `undefined`
 * where it is no URL that a client takes.
 */
export function redisPlace(text: string): string | undefined {
  return parseRedisUrl(text)?.place;
}

/** The passwords in a Redis URL, as written and as meant (Invariant 11). */
export function redisSecrets(text: string): readonly string[] {
  const parsed = parseRedisUrl(text);
  if (!parsed) return [];
  return [
    parsed.password,
    parsed.sentinelPassword,
    /:\/\/[^/?#]*?:([^/?#]*)@/.exec(text)?.[1],
    /[?&]sentinelPassword=([^&]*)/.exec(text)?.[1],
  ].filter((one): one is string => one !== undefined && one !== "");
}

function toHost(text: string, defaultPort: number) {
  const parts = /^(\[[0-9a-f:.]+\]|[^:[\]\s%]+)(?::(\d{1,5}))?$/i.exec(text);
  const port = Number(parts?.[2] ?? defaultPort);
  if (!parts?.[1] || port < 1 || port > 65_535) return undefined;
  return { host: parts[1].replace(/^\[|\]$/g, ""), port };
}

interface RedisOptions {
  readonly replicas?: number;
  readonly sentinelPassword?: string;
}

/** By kind of place: what an option is, for messages, and what its value may be. */
const known = {
  replicas: { of: "one cluster sentinel", may: /^[0-9]$/, like: "replicas=0 to replicas=9" },
  sentinelPassword: { of: "sentinel", may: /./, like: "sentinelPassword=TEXT" },
  // Of the client of one server: hosts that are found by IPv6 only need it.
  family: { of: "one", may: /^[046]$/, like: "family=4, 6 or 0 (both)" },
} as const;

function isKnown(name: string): name is keyof typeof known {
  return Object.hasOwn(known, name);
}

/** Undefined where one of them is none of the kind, or is not what it may be. */
function optionsOf(query: string, kind: RedisUrl["kind"]): RedisOptions | undefined {
  const all = new URLSearchParams(query);
  if (wrongIn(all, kind)) return undefined;
  const [replicas, sentinelPassword] = [all.get("replicas"), all.get("sentinelPassword")];
  return {
    ...(replicas !== null && { replicas: Number(replicas) }),
    ...(sentinelPassword !== null && { sentinelPassword }),
  };
}

/** The first one that is unknown, not what it may be, or said before. */
function wrongIn(all: URLSearchParams, kind: RedisUrl["kind"]): string | undefined {
  const names = [...all.keys()];
  const mayBe = (name: string, value: string) =>
    isKnown(name) && known[name].of.split(" ").includes(kind) && known[name].may.test(value);
  return [...all].find(
    ([name, value], at) => !mayBe(name, value) || names.indexOf(name) !== at,
  )?.[0];
}

/** The first option of a Redis URL that it cannot have, and those that it can. Of values, which may be secret, nothing. */
export function wrongRedisOption(text: string): string | undefined {
  const [, , form, , , , query = ""] = whole.exec(text) ?? [];
  const kind = form === "cluster" || form === "sentinel" ? form : "one";
  const name = wrongIn(new URLSearchParams(query), kind);
  // An @ that is not encoded: this is part of a password.
  if (name === undefined || query.includes("@")) return undefined;
  const allowed = Object.values(known).filter(({ of }) => of.split(" ").includes(kind));
  const like = allowed.map((one) => one.like).join("; ");
  return `the option ${JSON.stringify(name)} of the URL is ${isKnown(name) ? "not what it may be here" : "unknown"}; allowed: ${like}`;
}
