import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { measureBacklog } from "./fanout/backlog.ts";
import { measureChain } from "./fanout/chain.ts";
import { measureSubscriptions } from "./fanout/subscriptions.ts";

const usage = `bench fanout: ~1 KB events, 1,000 a yield, 4 partitions, one process, on each backend:
events/s with 1, 4 and 16 subscriptions; events/s of a whole pipeline over 1, 2 and 3 topics, and what a hop costs;
memory of events that wait, measured with fewer and scaled to a million.

  --seconds N          of each measurement (3)
  --events N           that wait (300000)
  --backend NAME       redis (one of its own is started: append-only file, fsync every second), embedded or all (all)
  --json               one JSON line a measurement
`;

const leastEvents = 20_000;

export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: "string", default: "3" },
      events: { type: "string", default: "300000" },
      backend: { type: "string", default: "all" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const seconds = Number(values.seconds);
  const events = Number(values.events);
  if (!(seconds >= 1 && events >= leastEvents)) {
    process.stderr.write(
      `bench fanout: less than a second, or than ${leastEvents} events, measures only noise.\n`,
    );
    return 2;
  }
  const print = (line: object) =>
    process.stdout.write(
      values.json
        ? `${JSON.stringify(line)}\n`
        : `${Object.entries(line)
            .map(([name, value]) => `${name} ${value}`)
            .join("  ")}\n`,
    );
  print({
    benchmark: "fanout",
    node: process.version,
    cores: cpus().length,
    load: loadavg()[0],
    seconds,
  });
  const backends = (["embedded", "redis"] as const).filter(
    (one) => values.backend === "all" || values.backend === one,
  );
  for (const backend of backends) {
    for (const subscriptions of [1, 4, 16])
      print({
        backend,
        subscriptions,
        ...(await measureSubscriptions(backend, subscriptions, seconds)),
      });
    let before: number | undefined;
    for (const hops of [1, 2, 3]) {
      const { eventsPerSecond } = await measureChain(backend, hops, seconds);
      const usPerEvent = 1e6 / eventsPerSecond;
      print({
        backend,
        hops,
        eventsPerSecond,
        usPerEvent: round(usPerEvent),
        ...(before !== undefined && { usOfThisHop: round(usPerEvent - before) }),
      });
      before = usPerEvent;
    }
    print({ backend, waiting: true, ...(await measureBacklog(backend, events)) });
  }
  return 0;
}

function round(value: number): number {
  return Number(value.toFixed(1));
}

if (import.meta.filename === process.argv[1]) process.exitCode = await main(process.argv.slice(2));
