import type { ConnectorStatus, PipelineStatus } from "../core/runtime/status.ts";
import type { Output, Style } from "./output.ts";
import { table } from "./table.ts";

const stateStyle: Readonly<Record<ConnectorStatus["state"], Style>> = {
  starting: "yellow",
  standby: "cyan",
  running: "green",
  failing: "red",
  failed: "red",
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
  const { project, pid, host, queue, durability, connectors } = status;
  const heading = fit(
    `${project} · queue ${queue} (${durability}) · ${host} · pid ${pid}`,
    columns,
  );
  const rows = connectors.map((one) => [
    `  ${one.name}`,
    `${one.kind} ${one.type}`,
    one.state,
    `${amount(one.events)} events`,
    rates ? `${amount(Math.round(rates.get(one.name) ?? 0))}/s` : "",
    doingOf(one),
  ]);
  const lines = table(rows.map((row) => row.filter((_, at) => rates !== undefined || at !== 4)))
    .split("\n")
    .map((line) => fit(line, columns));
  const widest = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  const stateAt = widest(0) + 2 + widest(1) + 2;
  // After padding and cutting, which count characters.
  const coloured = (line: string, { state }: ConnectorStatus) =>
    line.slice(0, stateAt) +
    paint(stateStyle[state], line.slice(stateAt, stateAt + state.length)) +
    line.slice(stateAt + state.length);
  return [
    paint("bold", heading),
    ...connectors.flatMap((one, at) => [
      coloured(lines[at] ?? "", one),
      ...troubleOf(one, paint, columns),
    ]),
  ];
}

function doingOf(one: ConnectorStatus): string {
  const { progress, subscriptions = [], deadLetters } = one;
  const waiting = subscriptions.reduce((sum, { waiting: some }) => sum + some, 0);
  const parts: string[] = [];
  if (progress) parts.push(progressOf(progress));
  if (subscriptions.length > 0) parts.push(`${amount(waiting)} waiting`);
  if (deadLetters > 0)
    parts.push(`${amount(deadLetters)} dead letter${deadLetters === 1 ? "" : "s"}`);
  return parts.join(", ");
}

function progressOf({ phase, done, total, lag }: NonNullable<ConnectorStatus["progress"]>): string {
  const percent =
    done !== undefined && total ? ` ${Math.min(100, Math.floor((100 * done) / total))} %` : "";
  const count =
    done === undefined ? "" : ` (${amount(done)}${total === undefined ? "" : `/${amount(total)}`})`;
  return `${phase}${phase === "snapshot" ? percent + count : ""}${lag ? `, ${lag} behind` : ""}`;
}

function troubleOf(
  { error }: ConnectorStatus,
  paint: Output["paint"],
  columns: number,
): readonly string[] {
  if (!error) return [];
  const since = error.since.slice(11, 19);
  const lines = [
    paint("red", fit(`    ✗ ${error.code} since ${since}: ${error.message}`, columns)),
  ];
  if (error.fix !== undefined) lines.push(paint("cyan", fit(`    → ${error.fix}`, columns)));
  return lines;
}

function amount(count: number): string {
  return count.toLocaleString("en");
}

function fit(line: string, columns: number): string {
  const flat = line.replaceAll(/\s*\n\s*/g, " ");
  return flat.length > columns ? `${flat.slice(0, Math.max(0, columns - 1))}…` : flat;
}
