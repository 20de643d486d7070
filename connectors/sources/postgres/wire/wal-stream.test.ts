import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { DatabaseError } from "pg";
import { expect, it } from "vitest";
import { walStream, type WalStream } from "./wal-stream.ts";

const message = (type: string, body: string) => {
  const head = Buffer.from(`${type}....`);
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, Buffer.from(body, "latin1")]);
};
const begun = message("W", "\0\0\0");
const piece = (text: string) => message("d", `w${"\0".repeat(24)}${text}`);
const error = message("E", "SERROR\0C22023\0Mno, sorry\0\0");

/** A stream whose server is the other socket. */
async function pair(): Promise<{ readonly stream: WalStream; readonly server: Socket }> {
  const listening = createServer().listen(0, "127.0.0.1");
  await once(listening, "listening");
  const socket = connect((listening.address() as AddressInfo).port, "127.0.0.1");
  const [server] = (await once(listening, "connection")) as [Socket];
  listening.close();
  const stream = walStream(socket, "START_REPLICATION", {
    where: "here",
    statusMs: 60_000,
    silentMs: 60_000,
    confirmed: () => 7n,
    DatabaseError,
    signal: new AbortController().signal,
    disconnect: async () => void socket.destroy(),
  });
  const [query] = (await once(server, "data")) as [Buffer];
  expect(query.toString("latin1")).toBe("Q\0\0\0\u0016START_REPLICATION\0");
  server.write(begun);
  return { stream: await stream, server };
}

const textOf = async (stream: WalStream) => {
  const { bytes, offsets, count } = await stream.take();
  return Array.from({ length: count }, (_, i) =>
    bytes.toString("latin1", offsets[2 * i], offsets[2 * i + 1]),
  );
};

it("gives what came before an error, to a reader that waits too, then the error", async () => {
  for (const isWaiting of [true, false]) {
    const { stream, server } = await pair();
    const waiting = isWaiting ? textOf(stream) : undefined;
    const closed = once(server, "close");
    server.write(Buffer.concat([piece("a"), piece("b"), error]));
    await closed;
    expect(await (waiting ?? textOf(stream))).toEqual(["a", "b"]);
    for (let again = 0; again < 2; again++)
      await expect(stream.take()).rejects.toMatchObject({ code: "22023", message: "no, sorry" });
  }
});

it("answers a keepalive that asks, at once, with the exact position", async () => {
  const { stream, server } = await pair();
  server.write(message("d", `k${"\0".repeat(16)}\u0001`));
  const [answer] = (await once(server, "data")) as [Buffer];
  expect(answer.length).toBe(39);
  expect(answer.subarray(0, 6).toString("latin1")).toBe("d\0\0\0&r");
  expect([6, 14, 22].map((at) => answer.readBigUInt64BE(at))).toEqual([7n, 7n, 7n]);
  const now = Number(answer.readBigInt64BE(30) / 1_000n) + Date.UTC(2000, 0, 1);
  expect(Math.abs(now - Date.now())).toBeLessThan(60_000);
  await stream.close();
});

it("takes one reader, and no nonsense", async () => {
  const { stream, server } = await pair();
  const first = textOf(stream);
  await expect(stream.take()).rejects.toThrow("waited for already");
  server.write(Buffer.concat([piece("a"), message("d", "?")]));
  expect(await first).toEqual(["a"]);
  await expect(stream.take()).rejects.toMatchObject({ code: "postgres.protocol" });
});
