import { getEventListeners, once } from "node:events";
import { connect as connectSocket, createServer, type AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startPostgres, type PostgresServer } from "../../../../test/postgres-server.ts";
import { formatLsn } from "../lsn.ts";
import { openSession, type Session } from "../session.ts";
import { connect } from "./connect.ts";
import type { Message } from "./decode.ts";
import { isEnd, messages, openStream } from "./harness.ts";
import { sqlState } from "./refusals.ts";
import { openReplication } from "./replication.ts";
import { walStream } from "./wal-stream.ts";

const never = new AbortController().signal;
const run = { name: "test", signal: never };

const eventually = <T>(get: () => T) => expect.poll(get, { timeout: 15_000 });

async function errorOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => expect.unreachable("it should have failed"),
    (error: unknown) => error,
  );
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const began = performance.now();
  const result = await work;
  expect(performance.now() - began).toBeLessThan(ms);
  return result;
}

/** A network that takes every byte by itself, and breaks `bytes` after the stream has begun. */
async function cutAfter(to: number, bytes: number) {
  const network = createServer((client) => {
    const upstream = connectSocket(to, "127.0.0.1");
    let left = Infinity;
    client.on("data", (chunk) => {
      if (chunk.includes("START_REPLICATION")) left = bytes;
      upstream.write(chunk);
    });
    upstream.on("data", (chunk) => {
      for (const byte of chunk.subarray(0, left)) client.write(Buffer.of(byte));
      left -= chunk.length;
      if (left <= 0) client.destroy();
    });
    client.on("close", () => upstream.destroy()).on("error", () => upstream.destroy());
    upstream.on("close", () => client.destroy()).on("error", () => client.destroy());
  }).listen(0, "127.0.0.1");
  await once(network, "listening");
  return {
    port: (network.address() as AddressInfo).port,
    close: () => new Promise((resolve) => network.close(resolve)),
  };
}

describe.each([15, 18] as const)("PostgreSQL %i", (version) => {
  let server: PostgresServer;
  let session: Session;
  let url: string;

  const open = () => openSession({ url, statementTimeoutMs: 60_000 }, run);
  beforeAll(async () => {
    server = await startPostgres({ version });
    url = server.url();
    session = await open();
    await session.query(`
      CREATE TABLE public.t (id int PRIMARY KEY, data text); ALTER TABLE public.t ALTER data SET STORAGE EXTERNAL;
      CREATE TABLE public.docs (id int PRIMARY KEY, doc jsonb);
      CREATE PUBLICATION p FOR TABLE public.t, public.docs;
      CREATE PUBLICATION "odd ""name'" FOR TABLE public.t`);
  });
  afterAll(async () => {
    await session?.close();
    await server?.stop();
  });

  const end = () => session.query("SELECT pg_logical_emit_message(false, 'end', '')");
  const confirmedOf = async (slot: string) => {
    const rows = await session.query(
      `SELECT confirmed_flush_lsn, active FROM pg_replication_slots WHERE slot_name = '${slot}'`,
    );
    return rows[0];
  };
  const ids = (all: readonly Message[]) =>
    all.flatMap((message) => (message.kind === "insert" ? [message.row[0]] : []));

  it("brings transactions, messages and truncates, with their positions", async () => {
    await session.query("TRUNCATE public.t");
    const stream = await openStream(url, { publication: ["p", `odd "name'`] });
    await session.query("INSERT INTO public.t VALUES (1, 'a'), (2, NULL)");
    await session.query(`BEGIN; UPDATE public.t SET id = 3 WHERE id = 1; DELETE FROM public.t WHERE id = 2;
      SELECT pg_logical_emit_message(true, 'mine', 'text'); COMMIT`);
    await session.query("TRUNCATE public.t, public.docs CASCADE");
    await end();
    const all = await messages(stream, isEnd);
    expect(stream.serverEnd()).toBeGreaterThan(0n);
    await stream.close();
    expect(all.map(({ kind }) => kind)).toEqual([
      "begin",
      "relation",
      "insert",
      "insert",
      "commit",
      "begin",
      "update",
      "delete",
      "message",
      "commit",
      "begin",
      "relation",
      "relation",
      "truncate",
      "commit",
      "message",
    ]);
    expect(all[6]).toMatchObject({ old: { kind: "key", row: ["1", null] }, row: ["3", "a"] });
    expect(all[7]).toMatchObject({ old: { kind: "key", row: ["2", null] } });
    expect(all[8]).toMatchObject({
      transactional: true,
      prefix: "mine",
      content: Buffer.from("text"),
    });
    const [begin, commit] = [all[0], all[4]];
    if (begin?.kind !== "begin" || commit?.kind !== "commit") throw new Error("no transaction");
    expect(begin).toMatchObject({ commitLsn: commit.commitLsn, time: commit.time });
    expect(commit.endLsn).toBeGreaterThan(commit.commitLsn);
    const [[now] = []] = await session.query(
      "SELECT extract(epoch from now() - '2000-01-01')::int8",
    );
    expect(Number(begin.time / 1_000_000n)).toBeGreaterThan(Number(now) - 60);
    expect(Number(begin.time / 1_000_000n)).toBeLessThanOrEqual(Number(now));
  });

  it("confirms the exact end of a transaction: the next one comes, the confirmed one does not", async () => {
    await session.query("TRUNCATE public.t");
    await session.query("SELECT pg_create_logical_replication_slot('exact', 'pgoutput')");
    for (let trial = 0; trial < 5; trial++) {
      await session.query("TRUNCATE public.t");
      let confirmed = 0n;
      const follow = async (from = 0n) => {
        const replication = await openReplication({ url }, run);
        return replication.start({
          slot: "exact",
          from,
          publication: "p",
          confirmed: () => confirmed,
          signal: never,
        });
      };
      // Back to back, so that the next transaction may start where the first one ends.
      await Promise.all(
        [1, 2, 3].map(async (id) => {
          const other = await open();
          await other.query(`INSERT INTO public.t VALUES (${id}, '')`);
          await other.close();
        }),
      );
      await end();
      const stream = await follow();
      const all = await messages(stream, isEnd);
      const ends = all
        .flatMap((message) => (message.kind === "commit" ? [message.endLsn] : []))
        .slice(1);
      const order = ids(all);
      confirmed = ends[0] ?? 0n;
      stream.confirm();
      await eventually(() => confirmedOf("exact")).toEqual([formatLsn(confirmed), "t"]);
      await stream.close();
      expect(await confirmedOf("exact")).toEqual([formatLsn(confirmed), "f"]);
      const again = await follow(confirmed);
      expect(ids(await messages(again, isEnd))).toEqual(order.slice(1));
      confirmed = again.serverEnd();
      await again.close();
      // The last word is sent when closing.
      expect((await confirmedOf("exact"))?.[0]).toBe(formatLsn(confirmed));
    }
  });

  it("lives through many wal_sender_timeouts while nobody takes, with bounded memory, then gives all", async () => {
    await session.query("TRUNCATE public.t");
    await session.query("ALTER SYSTEM SET wal_sender_timeout = '1s'");
    await session.query("SELECT pg_reload_conf()");
    const rows = 60_000;
    const stream = await openStream(`${url}?options=-c%20wal_sender_timeout%3D1s`, {
      publication: "p",
    });
    await session.query(
      `INSERT INTO public.t SELECT n, repeat('x', 500) FROM generate_series(1, ${rows}) n`,
    );
    await end();
    const timeIsUp = performance.now() + 3_500;
    await eventually(() => performance.now()).toBeGreaterThan(timeIsUp);
    const [[active] = []] = await session.query(
      "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' OR state = 'catchup'",
    );
    expect(active).toBe("1");
    let count = 0;
    for (let isLast = false; !isLast;) {
      const page = await stream.take();
      expect(page.bytes.length).toBeLessThan(1.5 * 2 ** 20);
      for (let i = 0; i < page.count; i++) {
        const tag = page.bytes[page.offsets[2 * i] ?? 0];
        if (tag === 0x49) count += 1;
        isLast = tag === 0x4d;
      }
    }
    expect(count).toBe(rows);
    // Nothing to say, for longer than the server waits; then something.
    const waiting = stream.take();
    const later = performance.now() + 2_500;
    await eventually(() => performance.now()).toBeGreaterThan(later);
    await end();
    expect((await waiting).count).toBe(1);
    await stream.close();
    await session.query("ALTER SYSTEM RESET wal_sender_timeout; ");
    await session.query("SELECT pg_reload_conf()");
  });

  it("brings a row of 100 MB", async () => {
    const stream = await openStream(url, { publication: "p" });
    const bytes = 100 * 2 ** 20;
    await session.query(
      `INSERT INTO public.docs VALUES (1, jsonb_build_object('a', repeat('x', ${bytes})))`,
    );
    await end();
    const insert = (await messages(stream, isEnd)).find(({ kind }) => kind === "insert");
    if (insert?.kind !== "insert") throw new Error("no row");
    expect(insert.row[1]?.length).toBe(bytes + '{"a": ""}'.length);
    expect(insert.row[1]?.slice(0, 8)).toBe('{"a": "x');
    expect(insert.row[1]?.slice(-3)).toBe('x"}');
    await stream.close();
  }, 90_000);

  it("tells the server's refusals by their SQLSTATE, and closes", async () => {
    const start = async (slot: string, publication = "p") => {
      const replication = await openReplication({ url }, run);
      return replication.start({ slot, from: 0n, publication, confirmed: () => 0n, signal: never });
    };
    expect(sqlState(await errorOf(start("missing")))).toBe("42704");
    await session.query("SELECT pg_create_logical_replication_slot('busy', 'pgoutput')");
    const first = await start("busy");
    expect(sqlState(await errorOf(start("busy")))).toBe("55006");
    await first.close();
    // A later server skips the rows with a warning.
    if (version === 15) {
      const second = await start("busy", "nowhere");
      await session.query("INSERT INTO public.t VALUES (-1)");
      expect(sqlState(await errorOf(second.take()))).toBe("42704");
      await second.close();
    }
    await eventually(walsenders).toEqual([]);
  });
  const walsenders = () => session.query("SELECT pid FROM pg_stat_replication");

  it("is lost with the reason when it is terminated, cut or killed, and leaves nothing behind", async () => {
    const held = () =>
      process.getActiveResourcesInfo().filter((name) => /TCP|TLS|Timeout/.test(name)).length;
    const before = held();
    const { signal } = new AbortController();
    const closed = await openStream(url, { publication: "p", signal });
    await closed.close();
    expect(await errorOf(closed.take())).toMatchObject({ code: "postgres.unreachable" });
    await eventually(held).toBeLessThanOrEqual(before);

    const stream = await openStream(url, { publication: "p", signal });
    const waiting = errorOf(stream.take());
    await session.query("SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
    const terminated = await within(1_000, waiting);
    expect(terminated).toMatchObject({ code: "postgres.unreachable", reason: "unreachable" });
    expect(sqlState(terminated)).toBe("57P01");
    // Nobody closed it: it has closed itself.
    expect(await errorOf(stream.take())).toBe(terminated);
    await eventually(() => getEventListeners(signal, "abort")).toEqual([]);
    await eventually(held).toBeLessThanOrEqual(before);
    await stream.close();

    const cut = await connect({ url }, run, { replication: true, settings: {} });
    await cut.query("CREATE_REPLICATION_SLOT cut TEMPORARY LOGICAL pgoutput");
    const socket = cut.client.connection.stream;
    const onCut = await startOn(cut, "cut");
    socket.destroy();
    expect(await errorOf(onCut.take())).toMatchObject({ code: "postgres.unreachable" });
    await onCut.close();
    await eventually(held).toBeLessThanOrEqual(before);
  });

  it("gives whole messages and then the error, wherever the network cuts", async () => {
    await session.query("TRUNCATE public.t");
    await session.query("SELECT pg_create_logical_replication_slot('cuts', 'pgoutput')");
    await session.query(
      "INSERT INTO public.t SELECT n, repeat('x', n) FROM generate_series(1, 40) n",
    );
    await end();
    const follow = async (port: number) => {
      const through = url.replace(`:${server.port}/`, `:${port}/`);
      const replication = await openReplication({ url: through }, run);
      const options = { slot: "cuts", from: 0n, publication: "p", confirmed: () => 0n };
      return replication.start({ ...options, signal: never });
    };
    const whole = await follow(server.port);
    const expected = (await messages(whole, isEnd)).map(({ kind }) => kind);
    await whole.close();
    for (let bytes = 1; bytes < 3_000; bytes += 271) {
      const network = await cutAfter(server.port, bytes);
      const seen: string[] = [];
      const error = await follow(network.port).then(
        async (stream) => {
          const error = await errorOf(
            messages(stream, (message) => (seen.push(message.kind), isEnd(message))),
          );
          await stream.close();
          return error;
        },
        (error: unknown) => error,
      );
      expect(error).toMatchObject({ code: "postgres.unreachable" });
      expect(seen).toEqual(expected.slice(0, seen.length));
      if (bytes > 1_000) expect(seen.length).toBeGreaterThan(2);
      await network.close();
    }
    await eventually(walsenders).toEqual([]);
  });

  /** A stream with little patience. */
  function startOn(connection: Awaited<ReturnType<typeof connect>>, slot: string) {
    return import("pg").then(({ DatabaseError }) =>
      walStream(
        connection.client.connection.stream,
        `START_REPLICATION SLOT "${slot}" LOGICAL 0/0 (proto_version '1', publication_names 'p', messages 'true')`,
        {
          where: "the server",
          statusMs: 50,
          silentMs: 400,
          confirmed: () => 0n,
          DatabaseError,
          signal: never,
          disconnect: connection.close,
        },
      ),
    );
  }

  it("gives a server up that says nothing though asked, but not one that has nothing to say", async () => {
    const connection = await connect({ url }, run, { replication: true, settings: {} });
    await connection.query("CREATE_REPLICATION_SLOT still TEMPORARY LOGICAL pgoutput");
    const stream = await startOn(connection, "still");
    const waiting = stream.take();
    const later = performance.now() + 1_000;
    await eventually(() => performance.now()).toBeGreaterThan(later);
    await end();
    expect((await waiting).count).toBeGreaterThan(0);
    process.kill(connection.pid, "SIGSTOP");
    try {
      expect(await within(2_000, errorOf(stream.take()))).toMatchObject({
        code: "postgres.unreachable",
        message: expect.stringMatching(/no word for \d+ ms/),
      });
      await within(1_000, stream.close());
    } finally {
      process.kill(connection.pid, "SIGCONT");
    }
    await eventually(walsenders).toEqual([]);
  });

  it("breaks off within a second: while creating a slot, waiting, and with pages to take", async () => {
    const writer = await open();
    await writer.query("BEGIN; INSERT INTO public.t VALUES (-2)");
    const stop = new AbortController();
    const creating = await openReplication({ url }, { name: "test", signal: stop.signal });
    const created = errorOf(
      creating.command("CREATE_REPLICATION_SLOT waits LOGICAL pgoutput (SNAPSHOT 'nothing')"),
    );
    const slots = () =>
      session.query("SELECT slot_name FROM pg_replication_slots WHERE slot_name = 'waits'");
    await eventually(slots).toEqual([["waits"]]);
    stop.abort(new Error("stop"));
    expect(await within(1_000, created)).toBe(stop.signal.reason);
    // The server was told: it does not make the slot once the transaction ends.
    await eventually(slots).toEqual([]);
    await writer.query("ROLLBACK");
    await writer.close();

    for (const isBehind of [false, true]) {
      const end = new AbortController();
      const stream = await openStream(url, { publication: "p", signal: end.signal });
      if (isBehind)
        await session.query(
          "TRUNCATE public.t; INSERT INTO public.t SELECT n, repeat('x', 500) FROM generate_series(1, 20000) n",
        );
      const waiting = isBehind ? undefined : errorOf(stream.take());
      end.abort(new Error("end"));
      expect(await within(1_000, waiting ?? errorOf(stream.take()))).toBe(end.signal.reason);
      await within(1_000, stream.close());
      expect(getEventListeners(end.signal, "abort")).toEqual([]);
    }
    await eventually(walsenders).toEqual([]);
  });

  it("lets a server shut down that waits for confirmations, and is lost", async () => {
    const stream = await openStream(url, { publication: "p" });
    await end();
    await messages(stream, isEnd);
    const waiting = errorOf(stream.take());
    await session.close();
    await within(3_000, server.shutdown());
    expect(await waiting).toMatchObject({ code: "postgres.unreachable", reason: "unreachable" });
    await stream.close();
    await server.restart();
    session = await open();

    const unread = await openStream(url, { publication: "p", signal: session.lost });
    await session.query(
      "INSERT INTO public.t SELECT n, repeat('x', 500) FROM generate_series(100000, 120000) n",
    );
    await eventually(() =>
      session.query("SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'walsender'"),
    ).toEqual([["WalSenderWriteData"]]);
    await within(3_000, server.shutdown());
    expect(await errorOf(unread.take())).toMatchObject({ code: "postgres.unreachable" });
    await unread.close();
    await session.close();
    await server.restart();
    session = await open();

    const killed = await openStream(url, { publication: "p" });
    const lost = errorOf(killed.take());
    await server.kill();
    expect(await within(1_000, lost)).toMatchObject({ code: "postgres.unreachable" });
    await killed.close();
    expect(await errorOf(open())).toMatchObject({ code: "postgres.unreachable" });
    await server.restart();
    await session.close();
    session = await open();
  });
});
