import { decode, type Message } from "./decode.ts";
import { openReplication } from "./replication.ts";
import type { WalStream } from "./wal-stream.ts";

let slots = 0;

/** A stream of a new slot, that ends with its connection. `replication` is closed by `stream.close`. */
export async function openStream(
  url: string,
  options: {
    readonly publication: string | readonly string[];
    readonly confirmed?: () => bigint;
    readonly signal?: AbortSignal;
    readonly ca?: string;
  },
): Promise<WalStream> {
  const signal = options.signal ?? new AbortController().signal;
  const replication = await openReplication({ url, ca: options.ca }, { name: "test", signal });
  const slot = `test_${(slots += 1)}`;
  await replication.command(
    `CREATE_REPLICATION_SLOT "${slot}" TEMPORARY LOGICAL pgoutput (SNAPSHOT 'nothing')`,
  );
  const { publication, confirmed = () => 0n } = options;
  return replication.start({ slot, from: 0n, publication, confirmed, signal });
}

/** All messages up to and with the first that `isLast` takes. */
export async function messages(
  stream: WalStream,
  isLast: (message: Message) => boolean,
): Promise<readonly Message[]> {
  const all: Message[] = [];
  for (;;) {
    const { bytes, offsets, count } = await stream.take();
    for (let i = 0; i < count; i++) {
      const message = decode(bytes, offsets[2 * i] ?? 0, offsets[2 * i + 1] ?? 0);
      all.push(message);
      if (isLast(message)) return all;
    }
  }
}

/** Ends at the marker that `SELECT pg_logical_emit_message(false, 'end', '')` sends. */
export function isEnd(message: Message): boolean {
  return message.kind === "message" && message.prefix === "end";
}
