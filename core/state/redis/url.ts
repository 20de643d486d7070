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

function optionsOf(query: string, kind: RedisUrl["kind"]) {
  const options: { replicas?: number; sentinelPassword?: string } = {};
  for (const [name, value] of new URLSearchParams(query))
    if (name === "replicas" && /^[0-9]$/.test(value)) options.replicas = Number(value);
    else if (name === "sentinelPassword" && value !== "") options.sentinelPassword = value;
    else if (kind !== "one") return undefined; // of one server, the client knows more of them
  return options;
}
