import { cpus, loadavg } from "node:os";

/** Tells a measure: a JSON line, or a line to read. */
export type Say = (measure: string, result: object) => void;

export function sayer(isJson: boolean): Say {
  return (measure, result) => {
    const pairs = Object.entries(result).map(([name, value]) => `${name} ${String(value)}`);
    process.stdout.write(
      isJson ? `${JSON.stringify({ measure, ...result })}\n` : `${measure}: ${pairs.join(", ")}\n`,
    );
  };
}

/** What it was measured on, and how busy that was. */
export function sayMachine(say: Say): void {
  const [load = 0] = loadavg();
  say("machine", { node: process.version, cores: cpus().length, cpu: cpus()[0]?.model, load });
}
