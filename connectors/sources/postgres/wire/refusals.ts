import { RetryableError, SluiceError } from "sluice";
import type { Target } from "./url.ts";

/** What went wrong while PostgreSQL talked to us: its SQLSTATE, whoever wrapped the error. */
export function sqlState(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause)
    if ("severity" in at && "code" in at && typeof at.code === "string") return at.code;
  return undefined;
}

/** The connection is gone, whatever the reason: connect again. */
export function lost(where: string, cause: unknown): RetryableError {
  const why = sqlState(cause) === undefined ? reason(cause) : says(cause);
  return new RetryableError(`postgres: ${where} lost: ${why}`, {
    code: "postgres.unreachable",
    reason: "unreachable",
    fix: "Nothing, if the server was restarted: it is tried again. Else look at the server's log.",
    cause,
  });
}

/** True for what ends a connection: the server stops, it was terminated, it sat idle, the network broke. */
export function endsConnection(error: unknown): boolean {
  const state = sqlState(error);
  return state !== undefined && /^(?:08|57P)/.test(state);
}

/** What came is not what PostgreSQL sends. */
export function protocolError(what: string): RetryableError {
  return new RetryableError(`postgres: the server sent ${what}.`, {
    code: "postgres.protocol",
    reason: "refused",
    fix: "Connect to PostgreSQL 14 or later itself, not through a proxy; else report this as a bug.",
  });
}

/** Why there is no connection, with the fix. Names host, database and user, never the password. */
export function toRefusal(cause: unknown, target: Target): RetryableError {
  const state = sqlState(cause);
  const where = `${target.host}:${target.port}`;
  const user = JSON.stringify(target.user ?? "");
  const database = JSON.stringify(target.database);
  if (state === undefined) return withoutState(cause, target, where);
  const text = says(cause);
  if (state === "3D000")
    return refused("postgres.no-database", `${where} has no database ${database}.`, cause, {
      fix: "Name an existing database in `url`.",
    });
  if (state.startsWith("28"))
    return refused("postgres.unauthorized", `${where} refuses user ${user}: ${text}`, cause, {
      fix: authorization(text, target),
    });
  if (state === "42501")
    return refused("postgres.unauthorized", `${where} refuses user ${user}: ${text}`, cause, {
      fix: /wal ?sender|replication/i.test(text)
        ? `Run: ALTER ROLE "${(target.user ?? "").replaceAll('"', '""')}" REPLICATION;`
        : `Run: GRANT CONNECT ON DATABASE "${target.database.replaceAll('"', '""')}" TO the role.`,
    });
  if (state === "08P01" || state === "22023" || state === "42704")
    return refused("postgres.refused", `${where} refuses our settings: ${text}`, cause, {
      fix: "Connect to the server itself, not through a pooler; PostgreSQL must be 14 or later.",
    });
  if (/^(?:53|57P|58|XX)/.test(state))
    return new RetryableError(`postgres: ${where} takes no connection now: ${text}`, {
      code: "postgres.unreachable",
      reason: "unreachable",
      fix: /max_wal_senders/.test(text)
        ? "Raise max_wal_senders, or end a walsender that nobody needs."
        : "Wait, or free connections: it is tried again.",
      cause,
    });
  return refused("postgres.refused", `${where} refuses the connection: ${text}`, cause, {
    fix: "Look at the server's log.",
  });
}

/** Not the server's words, but the driver's, Node's or the TLS library's. */
function withoutState(cause: unknown, target: Target, where: string): RetryableError {
  const message = cause instanceof Error ? cause.message : "";
  if (/Unknown authentication|Only mechanism/.test(message))
    return refused("postgres.unauthorized", `${where} wants another way to log in.`, cause, {
      fix: "Let the user in by a line of the server's pg_hba.conf that says scram-sha-256.",
    });
  if (/SASL|SCRAM|password must be/i.test(message))
    return refused("postgres.unauthorized", `${where} wants another password.`, cause, {
      fix: "Put user and password into `url`, with @ : / % in the password written as %40 %3A %2F %25.",
    });
  if (/does not support SSL|establishing an SSL/.test(message))
    return refused("postgres.tls", `${where} offers no TLS.`, cause, {
      fix: "Turn `ssl` on in the server, or write sslmode=disable in `url`.",
    });
  const problem = target.tls && certificateProblem(cause, target.host);
  if (problem)
    return refused("postgres.tls", `${where} cannot be trusted: ${problem.what}.`, cause, problem);
  return new RetryableError(`postgres: ${where} does not answer: ${reason(cause)}`, {
    code: "postgres.unreachable",
    reason: "unreachable",
    fix: "Check that the server runs and that host, port and firewall let us through.",
    cause,
  });
}

function certificateProblem(
  cause: unknown,
  host: string,
): { readonly what: string; readonly fix: string } | undefined {
  const code = codeOf(cause);
  switch (code) {
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return {
        what: `its certificate is for other names than ${host}`,
        fix: "Write in `url` a host name that the certificate is for, or get one for this name.",
      };
    case "CERT_HAS_EXPIRED":
    case "CERT_NOT_YET_VALID":
      return { what: `its certificate is not valid now (${code})`, fix: "Renew the certificate." };
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "INVALID_CA":
    case "CERT_SIGNATURE_FAILURE":
      return {
        what: `nobody known signed its certificate (${code})`,
        fix: "Name in `ca` the PEM file of the authority that signed it.",
      };
    case undefined:
      return undefined;
    default:
      return /^(?:ERR_SSL|ERR_TLS|CERT_|ERR_OSSL)/.test(code)
        ? { what: `TLS failed (${code})`, fix: "Check the server's certificate and TLS versions." }
        : undefined;
  }
}

function authorization(text: string, target: Target): string {
  const entry = /no encryption|SSL off/.test(text)
    ? " The server may want TLS: add ?sslmode=verify-full to `url`."
    : "";
  if (/pg_hba/.test(text))
    return `Let ${target.user ?? "the user"} in by a line of the server's pg_hba.conf (walsenders for logical replication match the database's name).${entry}`;
  return "Check user and password in `url`.";
}

function refused(
  code: string,
  what: string,
  cause: unknown,
  { fix }: { readonly fix: string },
): RetryableError {
  return new RetryableError(`postgres: ${what}`, { code, reason: "refused", fix, cause });
}

/** The server's own sentence. It holds names and SQL, never a password. */
function says(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return `${text}.`.replace(/\.\.$/, ".");
}

function reason(cause: unknown): string {
  if (cause instanceof SluiceError) return cause.message;
  return `${codeOf(cause) ?? (cause instanceof Error ? cause.message : String(cause))}.`;
}

/** Node's code; of several tried addresses, the first one's. */
function codeOf(cause: unknown): string | undefined {
  if (cause instanceof AggregateError && codeOf(cause.errors[0])) return codeOf(cause.errors[0]);
  if (cause instanceof Error && "code" in cause && typeof cause.code === "string")
    return cause.code;
  return undefined;
}
