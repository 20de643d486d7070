import dns from "node:dns";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import net from "node:net";
import { fileURLToPath } from "node:url";

/** What this process has opened or looked for, and whom it has called. */
export interface Watched {
  readonly files: Set<string>;
  readonly calls: string[];
}

const ofFs = [
  "accessSync",
  "createReadStream",
  "existsSync",
  "lstatSync",
  "openSync",
  "readFile",
  "readFileSync",
  "readdirSync",
  "realpathSync",
  "statSync",
  "stat",
  "open",
  "opendirSync",
] as const;
const ofPromises = ["access", "open", "readFile", "readdir", "stat", "lstat", "opendir"] as const;

/** Watches file system and network from here on, also for modules that have named these functions already. */
export function watchProcess(): Watched {
  const files = new Set<string>();
  const calls: string[] = [];
  const wrap = (owner: object, name: string, note: (args: readonly unknown[]) => void) => {
    const real = Reflect.get(owner, name) as (...args: unknown[]) => unknown;
    const wrapped = function (this: unknown, ...args: unknown[]) {
      note(args);
      return Reflect.apply(real, this, args);
    };
    Reflect.set(owner, name, Object.assign(wrapped, real));
  };
  const noteFile = ([path]: readonly unknown[]) => {
    if (typeof path === "number") return;
    files.add(path instanceof URL ? fileURLToPath(path) : String(path));
  };
  for (const name of ofFs) wrap(fs, name, noteFile);
  for (const name of ofPromises) wrap(fs.promises, name, noteFile);
  const noteCall = (args: readonly unknown[]) => void calls.push(JSON.stringify(args[0]));
  wrap(net.Socket.prototype, "connect", noteCall);
  wrap(dns, "lookup", noteCall);
  wrap(globalThis, "fetch", noteCall);
  syncBuiltinESMExports();
  return { files, calls };
}
