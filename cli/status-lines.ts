import type { ConnectorStatus, PipelineStatus } from "../core/runtime/status.ts";
import type { Output, Style } from "./output.ts";
import { table } from "./table.ts";

const stateStyle: Readonly<Record<ConnectorStatus["state"], Style>> = {
  starting: "yellow",
  standby: "cyan",
  running: "green",
  failing: "red",
  failed: "red",
  paused: "yellow",
  stopped: "dim",
};

/**
 * One process: a heading, a line a connector, and what is wrong below. `rates` (events/s a
 * connector) only where somebody measured them. No line is wider than `columns`.
 */
export function statusLines(
  status: PipelineStatus,
  options: {
    readonly paint: Output["paint"];
    readonly rates?: ReadonlyMap<string, number>;
    readonly columns?: number;
  },
): readonly string[] {
  const { paint, rates, columns = Infinity } = options;
  const { project, pid, host, queue, queueAnswers, durability, connectors } = status;
  const heading = fit(
    `${project} · queue ${queue} (${queueAnswers ? durability : "does not answer"}) · ${host} · pid ${pid}`,
    columns,
  );
  const wide = table(connectors.map((one) => wideRow(one, rates))).split("\n");
  const isNarrow = wide.some((line) => line.length > columns);
  const lines = isNarrow ? narrowLines(connectors, rates, columns) : wide;
  const widest = (text: (one: ConnectorStatus) => string) =>
    Math.max(...connectors.map((one) => text(one).length));
  const stateAt = isNarrow ? 2 : 2 + widest(({ name }) => name) + 2 + widest(typeOf) + 2;
  // After padding and cutting, which count characters.
  const coloured = (line: string, { state }: ConnectorStatus) =>
    line.slice(0, stateAt) +
    paint(stateStyle[state], line.slice(stateAt, stateAt + state.length)) +
    line.slice(stateAt + state.length);
  return [
    paint("bold", heading),
    ...connectors.flatMap((one, at) => [
      coloured(lines[at] ?? "", one),
      ...troubleOf(one, paint, columns, isNarrow),
    ]),
  ];
}

function wideRow(one: ConnectorStatus, rates: Rates): readonly string[] {
  return [
    `  ${one.name}`,
    typeOf(one),
    one.state,
    `${amount(one.events)} events`,
    ...(rates ? [rateOf(one, rates)] : []),
    doingOf(one),
  ];
}

/** What a person needs most, first: the name is cut to what room is left. */
function narrowLines(
  connectors: readonly ConnectorStatus[],
  rates: Rates,
  columns: number,
): readonly string[] {
  const gap = " ";
  const rows = connectors.map((one) => [
    `  ${one.state}`,
    rates ? rateOf(one, rates) : amount(one.events),
    doingOf(one, true),
  ]);
  const facts = table(rows, { gap }).split("\n");
  const room = columns - gap.length - Math.max(...facts.map((line) => line.length));
  const names = connectors.map(({ name }) => fit(name, Math.max(room, shortestName)));
  const named = rows.map(([state = "", ...rest], at) => [state, names[at] ?? "", ...rest]);
  return table(named, { gap })
    .split("\n")
    .map((line) => fit(line, columns));
}

const shortestName = 4;
type Rates = ReadonlyMap<string, number> | undefined;

function typeOf({ kind, type }: ConnectorStatus): string {
  return `${kind} ${type}`;
}

function rateOf({ name }: ConnectorStatus, rates: NonNullable<Rates>): string {
  return `${amount(Math.round(rates.get(name) ?? 0))}/s`;
}

function doingOf(one: ConnectorStatus, isShort = false): string {
  const { progress, requests = 0, subscriptions = [], deadLetters } = one;
  const waiting = subscriptions.reduce((sum, { waiting: some }) => sum + some, 0);
  const parts: string[] = [];
  if (progress) parts.push(isShort ? percentOf(progress) : progressOf(progress));
  if (requests > 0) parts.push(`${requests} snapshot${requests === 1 ? "" : "s"} asked for`);
  if (subscriptions.length > 0) {
    parts.push(`${amount(waiting)} waiting`);
    const standing = standingOf(subscriptions);
    if (!isShort || standing !== "live") parts.push(standing);
  }
  if (deadLetters > 0)
    parts.push(`${amount(deadLetters)} dead letter${deadLetters === 1 ? "" : "s"}`);
  return parts.join(", ");
}

/** `live`, or what is not: with its topic where there are several. */
export function standingOf(subscriptions: NonNullable<ConnectorStatus["subscriptions"]>): string {
  const behind = subscriptions.filter(({ state }) => state !== "live");
  if (behind.length === 0) return "live";
  return behind
    .map(({ topic, state, since, from = [] }) => {
      const what =
        state === "catching-up"
          ? `catching up from ${from.join(" and ")}`
          : `${state} since ${since ? shortTime(since) : "it joined"}`;
      return subscriptions.length === 1 ? what : `${what} on ${topic}`;
    })
    .join(", ");
}

/** `2026-11-26 17:18`, UTC. */
function shortTime(time: string): string {
  return time.slice(0, 16).replace("T", " ");
}

type Progress = NonNullable<ConnectorStatus["progress"]>;

/** How far a source is: `snapshot 45 % (450/1,000), 2 min left`. */
export function progressOf(progress: Progress): string {
  const { phase, done, total, etaMs, lag } = progress;
  const isCounted = phase === "snapshot" && done !== undefined;
  const count = isCounted
    ? ` (${amount(done)}${total === undefined ? "" : `/${amount(total)}`})`
    : "";
  const left = etaMs === undefined ? "" : `, ${durationOf(etaMs)} left`;
  return `${percentOf(progress)}${count}${left}${lag ? `, ${lag} behind` : ""}`;
}

function percentOf({ phase, percent }: Progress): string {
  return phase === "snapshot" && percent !== undefined ? `${phase} ${percent} %` : phase;
}

/** Rounded up, as a person would say it. */
function durationOf(ms: number): string {
  const seconds = Math.ceil(ms / 1_000);
  if (seconds <= 90) return `${seconds} s`;
  if (seconds <= 90 * 60) return `${Math.ceil(seconds / 60)} min`;
  return `${Math.ceil(seconds / 3_600)} h`;
}

function troubleOf(
  { error }: ConnectorStatus,
  paint: Output["paint"],
  columns: number,
  isNarrow: boolean,
): readonly string[] {
  if (!error) return [];
  const { code, message, fix } = error;
  const since = error.since.slice(11, 19);
  // The message names its owner: where there is little room, the code adds least.
  const what = isNarrow ? `${since} ${message}` : `${code} since ${since}: ${message}`;
  const most = isNarrow ? 3 : 1;
  return [
    ...folded(`    ✗ ${what}`, columns, most).map((line) => paint("red", line)),
    ...(fix === undefined ? [] : folded(`    → ${fix}`, columns, most)).map((line) =>
      paint("cyan", line),
    ),
  ];
}

function amount(count: number): string {
  return count.toLocaleString("en");
}

/** A text in at most `most` lines, broken at spaces; the last is cut. */
function folded(text: string, columns: number, most: number): readonly string[] {
  const lines: string[] = [];
  let rest = text.replaceAll(/\s*\n\s*/g, " ");
  const indent = " ".repeat(6);
  while (rest.length > columns && lines.length < most - 1) {
    const space = rest.lastIndexOf(" ", columns);
    const end = space > indent.length ? space : columns;
    lines.push(rest.slice(0, end));
    rest = indent + rest.slice(end).trimStart();
  }
  return [...lines, fit(rest, columns)];
}

function fit(line: string, columns: number): string {
  const flat = line.replaceAll(/\s*\n\s*/g, " ");
  return flat.length > columns ? `${flat.slice(0, Math.max(0, columns - 1))}…` : flat;
}
