import { ConfigError } from "sluice";

/** Why a server cannot listen, with what to do about it. */
export function notListening(
  { host, port }: { readonly host: string; readonly port: number },
  cause: NodeJS.ErrnoException,
): ConfigError {
  const { code = cause.message } = cause;
  if (code === "EADDRINUSE")
    return new ConfigError(`pinecone: port ${port} of ${host} is in use.`, {
      code: "pinecone.port-in-use",
      fix: "Stop what listens there, or choose another port (0 takes a free one).",
      cause,
    });
  return new ConfigError(`pinecone: cannot listen on ${host}:${port} (${code}).`, {
    code: "pinecone.not-listening",
    fix:
      code === "EACCES"
        ? "Choose a port above 1023."
        : "Listen on an address of this machine, e.g. 127.0.0.1, or 0.0.0.0 for all of them.",
    cause,
  });
}
