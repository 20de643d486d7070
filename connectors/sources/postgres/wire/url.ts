import { readFile } from "node:fs/promises";
import { ConfigError } from "sluice";

/** Where and as whom to connect. `tls` is what the certificate is checked with; without it the connection is plain. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user?: string;
  readonly password?: string;
  /** `-c name=value …` of the URL: our own settings come after it, so they win. */
  readonly options?: string;
  readonly tls?: { readonly ca?: string };
}

/**
 * Takes a connection URL apart, and reads the authority's certificate. Ours and not the driver's,
 * because the driver lets the URL override session settings, reads files named in it, and takes
 * `sslmode=require` for something that it is not. Throws a ConfigError that never shows the URL.
 */
export async function parseTarget(options: {
  readonly url: string;
  readonly ca?: string | undefined;
}): Promise<Target> {
  const url = parse(options.url);
  const parameters = url.searchParams;
  const isTls = wantsTls(parameters, options.ca !== undefined);
  const host = parameters.get("host") ?? unescape(url.hostname).replace(/^\[(.*)\]$/, "$1");
  const user = unescape(url.username) || parameters.get("user");
  const password = unescape(url.password) || parameters.get("password");
  const given = parameters.get("options");
  return {
    host: host || "localhost",
    port: Number(parameters.get("port") ?? (url.port || "5432")),
    database: unescape(url.pathname.slice(1)) || parameters.get("dbname") || user || "postgres",
    ...(user && { user }),
    ...(password && { password }),
    ...(given && { options: given }),
    ...(isTls && { tls: options.ca === undefined ? {} : { ca: await certificate(options.ca) } }),
  };
}

function parse(url: string): URL {
  const parsed = URL.parse(url);
  // An @ behind the host: a / ? or # in the password ended the host in the middle of it.
  const isCut = parsed !== null && /^[^?]*@|^\?[^=]*@|#.*@/.test(behindHost(parsed));
  // The driver's and Node's errors show the URL, and with it the password.
  if (parsed === null || isCut)
    throw bad(
      "`url` is no connection URL of one server.",
      "Write postgres://USER:PASSWORD@HOST:PORT/DATABASE, one host, with @ : / ? # % in the password written as %40 %3A %2F %3F %23 %25.",
    );
  return parsed;
}

function behindHost({ pathname, search, hash }: URL): string {
  return `${pathname}${search}${hash}`;
}

function wantsTls(parameters: URLSearchParams, hasCa: boolean): boolean {
  for (const name of parameters.keys())
    if (name.startsWith("ssl") && name !== "sslmode")
      throw bad(
        `\`url\` says ${name}, which is not read.`,
        name === "sslrootcert"
          ? "Take it out, and name the file in `ca`."
          : "Take it out: TLS is `?sslmode=verify-full`, and `ca` names the authority's certificate.",
      );
  const mode = parameters.get("sslmode") ?? "disable";
  if (mode !== "disable" && mode !== "verify-full")
    throw bad(
      `\`url\` says sslmode=${mode}, which does not check who answers.`,
      "Write sslmode=verify-full (with `ca` for an authority of your own), or sslmode=disable.",
    );
  if (hasCa && mode === "disable")
    throw bad(
      "`ca` is set, but the connection uses no TLS.",
      "Add ?sslmode=verify-full to `url`, or take `ca` out.",
    );
  return mode === "verify-full";
}

async function certificate(path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    throw noCertificate(path, cause.code ?? cause.message, cause);
  });
  if (!text.includes("-----BEGIN CERTIFICATE-----")) throw noCertificate(path, "not PEM");
  return text;
}

function noCertificate(path: string, why: string, cause?: unknown): ConfigError {
  return new ConfigError(`postgres: ${path} holds no readable certificate (${why}).`, {
    code: "postgres.ca",
    fix: "Name in `ca` the PEM file of the authority that signed the server's certificate.",
    cause,
  });
}

/** A percent sign that starts no escape stands for itself: many passwords hold one. */
function unescape(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function bad(what: string, fix: string): ConfigError {
  return new ConfigError(`postgres: ${what}`, { code: "postgres.url", fix });
}
