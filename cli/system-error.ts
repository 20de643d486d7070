import { getSystemErrorMap } from "node:util";
import { SluiceError } from "../core/errors.ts";

interface SystemError extends Error {
  readonly errno: number;
  readonly code: string;
  readonly syscall: string;
  readonly path?: string;
  readonly address?: string;
  readonly hostname?: string;
  readonly port?: number;
}

/** What the operating system refuses: a file, a folder, an address. */
export function isSystemError(error: unknown): error is SystemError {
  return (
    error instanceof Error &&
    "syscall" in error &&
    "errno" in error &&
    typeof error.errno === "number"
  );
}

/** A refusal of the operating system as people read it: who met it, what it is about, what to do. */
export function toldBy(who: string, error: SystemError): SluiceError {
  const { errno, code, path, address, hostname, port } = error;
  const [, reason = code] = getSystemErrorMap().get(errno) ?? [];
  if (path !== undefined)
    return new SluiceError(`${who}: ${path} cannot be used: ${reason}.`, {
      code: "cli.file",
      fix: "Name another path, or give this user the right to it.",
      cause: error,
    });
  const host = address ?? hostname;
  if (host !== undefined)
    return new SluiceError(
      `${who}: the address ${port ? `${host}:${port}` : host} cannot be used: ${reason}.`,
      {
        code: "cli.address",
        fix: "Name another address; to listen, one of this machine: 127.0.0.1, or 0.0.0.0 for all.",
        cause: error,
      },
    );
  return new SluiceError(`${who}: the system refuses: ${reason}.`, {
    code: "cli.system",
    fix: "See the reason, and what this user and machine may do.",
    cause: error,
  });
}
