import type { Board } from "./board.ts";
import { connectorStates, type PipelineStatus } from "./status.ts";

/** What the counters of the runner and of our own connectors count. */
const helps: Readonly<Record<string, string>> = {
  batch_events: "Events a batch.",
  bytes_sent: "Bytes of request bodies sent to the vector database.",
  dead_lettered: "Events that this process gave up on and kept.",
  embed_calls: "Requests to the embedding model, not counting those in embed_retries.",
  embed_retries: "Requests to the embedding model that were tried again.",
  embed_tokens: "Tokens that the embedding model was given.",
  embeds: "Texts embedded.",
  files_skipped: "Files that could not be read.",
  filtered: "Records that a filter keeps out.",
  freshness_seconds: "Seconds from a change at its origin until searches find it.",
  freshness_unknown: "Changes of which it could not be told when searches found them.",
  metadata_dropped: "Metadata fields left out because they did not fit.",
  objects_skipped: "Objects that could not be read.",
  positions_lost: "Times that the origin no longer had what comes after the checkpoint.",
  published: "Events that a transform published.",
  redelivered_mended: "Vectors written again because an earlier write was in doubt.",
  requests_retried: "Requests to the vector database that were tried again.",
  retries: "Deliveries that failed and were tried again.",
  skipped: "Changes of which nothing comes because another is bound to follow.",
  stale_dropped: "Late or repeated versions that change nothing.",
  upsert_calls: "Requests to the vector store that write vectors.",
  vector_cache_hits: "Texts whose vector was in the cache.",
  vectors_deleted: "Vectors deleted.",
  vectors_written: "Vectors written.",
};

type Labels = Readonly<Record<string, string>>;

interface Family {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly lines: string[];
}

/** What a process measures, in Prometheus' text format 0.0.4. */
export function prometheus(
  status: PipelineStatus,
  boardOf: (connector: string) => Pick<Board, "samples" | "gauges"> | undefined,
): string {
  const families = new Map<string, Family>();
  const add = (
    family: string,
    { type, help }: Pick<Family, "type" | "help">,
    labels: Labels,
    value: number,
    name = family,
  ) => {
    const known = families.get(family) ?? { type, help, lines: [] };
    families.set(family, known);
    known.lines.push(`${name}${labelled({ project: status.project, ...labels })} ${value}`);
  };
  const gauge = (name: string, help: string, labels: Labels, value: number) =>
    add(name, { type: "gauge", help }, labels, value);
  const counter = (name: string, help: string, labels: Labels, value: number) =>
    add(name, { type: "counter", help }, labels, value);

  const isUp = status.queueAnswers && !status.outage;
  gauge("sluice_queue_up", "1 where queue and state can be used.", {}, Number(isUp));
  for (const one of status.connectors) {
    const who = { connector: one.name, kind: one.kind, type: one.type };
    for (const state of connectorStates)
      gauge(
        "sluice_connector_state",
        "1 for the state that the connector is in.",
        { ...who, state },
        Number(one.state === state),
      );
    const since = one.error ? Date.parse(one.error.since) / 1_000 : 0;
    gauge(
      "sluice_connector_failing_since_seconds",
      "When it began to fail, Unix time; 0 where it does not.",
      who,
      since,
    );
    counter(
      "sluice_events_total",
      "Events published (sources) or handled (transforms, sinks) by this process.",
      who,
      one.events,
    );
    gauge(
      "sluice_dead_letters",
      "Events given up on and kept: open dead letters, whoever made them.",
      who,
      one.deadLetters,
    );
    if (one.progress?.total !== undefined)
      gauge(
        "sluice_snapshot_ratio",
        "How far the snapshot is, 0 to 1.",
        who,
        one.progress.total === 0 ? 1 : (one.progress.done ?? 0) / one.progress.total,
      );
    const { lagBytes: behindBytes, lagSeconds: behindSeconds } = one.progress ?? {};
    if (behindBytes !== undefined)
      gauge(
        "sluice_source_lag_bytes",
        "Bytes of changes between the source's position and the end of its origin's log.",
        who,
        behindBytes,
      );
    if (behindSeconds !== undefined)
      gauge(
        "sluice_source_lag_seconds",
        "Seconds that the source's position is behind its origin, as far as it knows.",
        who,
        behindSeconds,
      );
    for (const { topic, waiting, oldestMs, consumers, state } of one.subscriptions ?? []) {
      const which = { connector: one.name, topic };
      gauge("sluice_waiting_events", "Events published and not yet handled.", which, waiting);
      gauge("sluice_oldest_waiting_seconds", "Age of the oldest of them.", which, oldestMs / 1_000);
      gauge("sluice_consumers", "Live processes that read the topic for it.", which, consumers);
      gauge(
        "sluice_subscription_live",
        "1 where it has everything, 0 while it catches up or lacks what came before it.",
        which,
        Number(state === "live"),
      );
    }
    const { checkpointAt, lagSeconds } = boardOf(one.name)?.gauges() ?? {};
    if (checkpointAt !== undefined)
      gauge(
        "sluice_checkpoint_time_seconds",
        "When the last checkpoint was stored, Unix time.",
        who,
        checkpointAt / 1_000,
      );
    if (lagSeconds !== undefined)
      gauge(
        "sluice_lag_seconds",
        "Age of the last event when it was through here, by its time at the origin.",
        who,
        lagSeconds,
      );
    for (const { name, labels, value } of boardOf(one.name)?.samples() ?? []) {
      const [, base, part] = /^(.+)_(bucket|sum|count)$/.exec(name) ?? [];
      const own = { connector: one.name, ...labels };
      if (base !== undefined && part !== undefined)
        add(
          `sluice_${base}`,
          { type: "histogram", help: helps[base] ?? `${base} of a connector.` },
          own,
          value,
          `sluice_${name}`,
        );
      else counter(`sluice_${name}_total`, helps[name] ?? `${name} of a connector.`, own, value);
    }
  }
  const { rss } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  gauge("process_resident_memory_bytes", "Resident memory size in bytes.", {}, rss);
  counter(
    "process_cpu_seconds_total",
    "Total user and system CPU time spent in seconds.",
    {},
    (user + system) / 1e6,
  );
  gauge(
    "process_start_time_seconds",
    "Start time of the process since unix epoch in seconds.",
    {},
    Date.parse(status.startedAt) / 1_000,
  );
  return [...families]
    .map(
      ([name, { type, help, lines }]) =>
        `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("\n")}\n`,
    )
    .join("");
}

function labelled(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return `{${pairs.join(",")}}`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
