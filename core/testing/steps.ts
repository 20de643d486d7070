import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { Socket } from "node:net";

const changing = [
  "appendFile",
  "copyFile",
  "cp",
  "link",
  "mkdir",
  "rename",
  "rm",
  "rmdir",
  "symlink",
  "truncate",
  "unlink",
  "write",
  "writeFile",
  "writev",
];

interface Sent {
  readonly chunk: unknown;
}
type Call = (this: unknown, ...args: unknown[]) => unknown;

/** Requests of HTTP that change nothing: a walk over a large target would be all steps. */
const asking = /^(?:GET|HEAD) /;

/**
 * Calls `before` ahead of all that this process sends through a socket of Node's, but what only asks, and of each change it
 * makes to a file, for good. Not seen: what native code and HTTP/2 send, and writes through an open file's handle.
 */
export function watchSteps(before: () => void): void {
  const watch = (owner: object, name: string, asks: (sent: unknown) => boolean = () => false) => {
    const real: unknown = Reflect.get(owner, name);
    if (typeof real !== "function") return;
    const watched: Call = function (...args) {
      if (!asks(args[0])) before();
      return Reflect.apply(real, this, args) as unknown;
    };
    Reflect.set(owner, name, watched);
  };
  watch(Socket.prototype, "_write", isAsking);
  watch(Socket.prototype, "_writev", (sent) => isAsking((sent as readonly Sent[])[0]?.chunk));
  for (const name of changing) {
    watch(fs.promises, name);
    watch(fs, name);
    watch(fs, `${name}Sync`);
  }
  syncBuiltinESMExports();
}

function isAsking(chunk: unknown): boolean {
  const text =
    typeof chunk === "string" ? chunk : Buffer.from(chunk as Uint8Array).toString("latin1", 0, 8);
  return asking.test(text);
}
