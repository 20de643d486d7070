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

type Call = (this: unknown, ...args: unknown[]) => unknown;

/**
 * Calls `before` ahead of all that this process sends through a socket of Node's and of each change it makes to a file, for
 * good. Not seen: what native code and HTTP/2 send, and writes through an open file's handle.
 */
export function watchSteps(before: () => void): void {
  const watch = (owner: object, name: string) => {
    const real: unknown = Reflect.get(owner, name);
    if (typeof real !== "function") return;
    const watched: Call = function (...args) {
      before();
      return Reflect.apply(real, this, args) as unknown;
    };
    Reflect.set(owner, name, watched);
  };
  for (const name of ["_write", "_writev"]) watch(Socket.prototype, name);
  for (const name of changing) {
    watch(fs.promises, name);
    watch(fs, name);
    watch(fs, `${name}Sync`);
  }
  syncBuiltinESMExports();
}
