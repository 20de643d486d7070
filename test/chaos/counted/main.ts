import { appendFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { openGround, type Ground, type GroundKind } from "./ground.ts";
import { playCounted } from "./play-counted.ts";
import { playHold } from "./play-hold.ts";
import type { TakeOver } from "./play-faults.ts";
import { faultKinds, redisFaults, type FaultKind } from "./schedule.ts";

const ofRedis: readonly FaultKind[] = redisFaults;
const maxShown = 20;

/** `npm run chaos -- --faults …`: one JSON line with the faults, the seed and the counts. Resolves to the exit code. */
export async function playAllFaults(options: {
  readonly queue: GroundKind;
  readonly faults: string;
  readonly minutes: string;
  readonly processes: string;
  readonly rate: string;
  readonly seed: string | undefined;
  readonly json: boolean;
}): Promise<number> {
  const { queue, json } = options;
  const wanted = kindsOf(options.faults);
  if (wanted === undefined) {
    console.error(`--faults ${options.faults}: use all, hold, or some of ${faultKinds.join(",")}.`);
    return 2;
  }
  const seed = Number(options.seed ?? Math.floor(Math.random() * 2 ** 31));
  const dir = await mkdtemp(join(tmpdir(), "sluice-faults-"));
  const ground = await openGround(queue, join(dir, "place"));
  const logFile = join(dir, "log");
  const log = (from: string, message: string, fields: string) =>
    appendFileSync(logFile, `${new Date().toISOString()} ${from} ${message} ${fields}\n`);
  const common = { seed, minutes: Number(options.minutes), log };
  const load = loadavg()[0];
  let isOk = false;
  try {
    if (wanted === "hold") {
      const { place } = ground;
      const result = await playHold({ ...common, place, told: json ? () => {} : tell });
      isOk = result.ok;
      console.log(JSON.stringify({ queue, ...result, load }));
      return isOk ? 0 : 1;
    }
    const { processes, rate } = options;
    const kinds = wanted.filter((kind) => canBefall(kind, ground));
    const result = await playCounted({
      ...common,
      kinds,
      processes: Number(processes),
      perSecond: Number(rate),
      ground,
      told: json ? () => {} : tell,
    });
    isOk = result.ok;
    const { lost, orderViolations, wrongLetters, wrongAtEnd, takeOvers, ...rest } = result;
    console.log(
      JSON.stringify({
        queue,
        kinds,
        ...rest,
        lost: lost.length,
        orderViolations: orderViolations.length,
        wrongLetters: wrongLetters.length,
        wrongAtEnd: wrongAtEnd.length,
        takeOverMs: timesOf(takeOvers),
        load,
        ...(!isOk && {
          log: logFile,
          firstOf: [lost, orderViolations, wrongLetters, wrongAtEnd].map((all) =>
            all.slice(0, maxShown),
          ),
        }),
      }),
    );
    return isOk ? 0 : 1;
  } finally {
    await ground.stop();
    if (isOk) await rm(dir, { recursive: true, force: true });
  }
}

function tell(text: string): void {
  process.stderr.write(`${text}\n`);
}

function kindsOf(text: string): readonly FaultKind[] | "hold" | undefined {
  if (text === "hold") return "hold";
  const named: readonly string[] = text === "all" ? faultKinds : text.split(",");
  const known = faultKinds.filter((kind) => named.includes(kind));
  return known.length === named.length ? known : undefined;
}

function canBefall(kind: FaultKind, ground: Ground): boolean {
  const possible: readonly FaultKind[] = ground.faults;
  return !ofRedis.includes(kind) || possible.includes(kind);
}

/** Per fault: of those that nothing else disturbed, and of all. */
function timesOf(all: readonly TakeOver[]): object {
  const kinds = ["kill", "term", "stop"] as const;
  return Object.fromEntries(
    kinds.map((kind) => {
      const own = all.filter(({ after }) => after === kind);
      return [
        kind,
        { undisturbed: summary(own.filter((one) => !one.isDisturbed)), all: summary(own) },
      ];
    }),
  );
}

function summary(all: readonly TakeOver[]): object {
  const sorted = all.map(({ ms }) => ms).toSorted((a, b) => a - b);
  return { count: sorted.length, p50: sorted[sorted.length >> 1], max: sorted.at(-1) };
}
