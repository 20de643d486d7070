import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { CountedOrder, FromProcess, ToProcess } from "./messages.ts";
import type { World } from "./world.ts";

/** A process of the counted pipeline. */
export interface CountedProcess {
  readonly pid: number;
  readonly signal: (signal: NodeJS.Signals) => void;
  readonly isRunning: () => boolean;
  readonly exited: Promise<unknown>;
  /** Stops in order, within `graceMs`. */
  readonly stop: (graceMs: number) => Promise<void>;
}

export type Said = (level: string, message: string, fields: string) => void;

const script = fileURLToPath(new URL("./process-child.js", import.meta.url));

/** Forks one; `world` answers what it asks, and `log` hears what it logs. */
export function startCounted(
  order: CountedOrder,
  world: World,
  log: Said = () => {},
): CountedProcess {
  const child = fork(script, [JSON.stringify(order)], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const exited = once(child, "exit");
  const isRunning = () => child.exitCode === null && child.signalCode === null;
  const pid = child.pid ?? 0;
  const send = (message: ToProcess) => {
    if (child.connected) child.send(message, () => {}); // it may be dead by then, which is what we play with
  };
  child.on("message", (message: FromProcess) => {
    if ("tell" in message && message.tell === "log") {
      log(`${pid} ${message.level}`, message.message, message.fields);
      return;
    }
    world.hear(pid, message, (answer) => {
      if ("id" in message) send({ id: message.id, answer });
    });
  });
  return {
    pid,
    isRunning,
    exited,
    signal: (signal) => void (isRunning() && child.kill(signal)),
    stop: async (graceMs) => {
      send({ stop: graceMs });
      const timer = setTimeout(() => child.kill("SIGKILL"), graceMs + 2_000);
      await exited;
      clearTimeout(timer);
    },
  };
}
