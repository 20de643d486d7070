import type { PipelineStatus } from "../core/runtime/status.ts";
import type { Output } from "./output.ts";
import { statusLines } from "./status-lines.ts";

const everyMs = 333;
/** Over which events/s are measured. */
const windowMs = 3_000;

export interface LiveView {
  /** Writes a line above the view. */
  readonly print: (line: string) => void;
  /** Replaces the line below the connectors. */
  readonly say: (line: string) => void;
  /** Draws once more and leaves it there. */
  readonly close: () => Promise<void>;
}

/** The part of `process.stdout` that is used. */
export interface Terminal {
  write: (text: string) => unknown;
  readonly columns?: number;
  readonly rows?: number;
}

/** A pipeline's status on a terminal, a line a connector, rewritten in place a few times a second. */
export function openLiveView(
  read: () => Promise<PipelineStatus>,
  options: { readonly paint: Output["paint"]; readonly footer: string; readonly out?: Terminal },
): LiveView {
  const { paint, footer, out = process.stdout } = options;
  const rateOf = rateMeter();
  let last: PipelineStatus | undefined;
  let said = footer;
  let drawn = 0;

  // A sink may write to the same terminal: the view makes room, and comes back at the next turn.
  const put = out.write.bind(out);
  out.write = (...rest: Parameters<Terminal["write"]>) => {
    clear();
    return put(...rest);
  };

  const clear = () => {
    if (drawn > 0) put(`\u001b[${drawn}A\u001b[J`);
    drawn = 0;
  };
  const draw = () => {
    clear();
    if (!last) return;
    // One column less: a full line would wrap on some terminals, and the count of lines be wrong.
    const columns = (out.columns || 80) - 1;
    const most = (out.rows || 24) - 2;
    const lines = statusLines(last, { paint, rates: rateOf(last), columns }).slice(0, most);
    put(`${[...lines, paint("dim", said.slice(0, columns))].join("\n")}\n`);
    drawn = lines.length + 1;
  };
  const refresh = async () => {
    // Status is read through the queue, which may be away or closing: keep showing the last one.
    last = await read().catch(() => last);
    draw();
  };

  let reading: Promise<void> | undefined;
  const timer = setInterval(() => {
    reading ??= refresh().finally(() => (reading = undefined));
  }, everyMs);

  return {
    print: (line) => {
      clear();
      put(`${line}\n`);
      draw();
    },
    say: (line) => {
      said = line;
      draw();
    },
    close: async () => {
      clearInterval(timer);
      await reading;
      await refresh();
      out.write = put;
    },
  };
}

function rateMeter(): (status: PipelineStatus) => ReadonlyMap<string, number> {
  const samples: { readonly at: number; readonly events: ReadonlyMap<string, number> }[] = [];
  return ({ connectors }) => {
    const now = {
      at: performance.now(),
      events: new Map(connectors.map((c) => [c.name, c.events])),
    };
    samples.push(now);
    while (samples[1] && now.at - samples[1].at > windowMs) samples.shift();
    const first = samples[0] ?? now;
    const seconds = Math.max(everyMs, now.at - first.at) / 1_000;
    return new Map(
      [...now.events].map(([name, events]) => [
        name,
        Math.max(0, events - (first.events.get(name) ?? 0)) / seconds,
      ]),
    );
  };
}
