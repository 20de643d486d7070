import { getEventListeners, once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startPostgres, type PostgresServer } from "../../../test/postgres-server.ts";
import { openSession, type Session } from "./session.ts";
import { sqlState } from "./wire/refusals.ts";

const statementTimeoutMs = 60_000;
const never = new AbortController().signal;
const open = (url: string, signal: AbortSignal = never) =>
  openSession({ url, statementTimeoutMs }, { name: "test", signal });

const eventually = <T>(get: () => T) => expect.poll(get, { timeout: 15_000 });

/** What `work` rejects with. */
async function errorOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => expect.unreachable("it should have failed"),
    (error: unknown) => error,
  );
}

let server: PostgresServer;
let session: Session;
beforeAll(async () => {
  server = await startPostgres({
    version: 18,
    settings: { max_connections: "25", superuser_reserved_connections: "3" },
  });
  session = await open(server.url());
});
afterAll(async () => {
  await session?.close();
  await server?.stop();
});

describe("a session", () => {
  it("gives PostgreSQL's texts, whatever the types", async () => {
    expect(session.serverVersion).toBeGreaterThanOrEqual(180_000);
    expect(
      await session.query("SELECT 1.10, NULL, true, '\\x00'::bytea, $1::text[], $2::int8", [
        ['a "quoted"', "b,c", "\\"],
        9_007_199_254_740_991,
      ]),
    ).toEqual([
      ["1.10", null, "t", "\\x00", '{"a \\"quoted\\"","b,c","\\\\"}', "9007199254740991"],
    ]);
    expect(await session.query("SELECT 1; SELECT 2 UNION ALL SELECT 3")).toEqual([["2"], ["3"]]);
    expect(await session.query("")).toEqual([]);
    expect(await session.query(`SELECT ${session.pid} = pg_backend_pid()`)).toEqual([["t"]]);
  });

  it("runs what is asked at once one after the other, also after a refusal", async () => {
    const answers = await Promise.allSettled([
      session.query("SELECT 1"),
      session.query("SELEKT"),
      session.query("SELECT 2"),
    ]);
    expect(
      answers.map((answer) =>
        answer.status === "fulfilled" ? answer.value : sqlState(answer.reason),
      ),
    ).toEqual([[["1"]], "42601", [["2"]]]);
  });

  it("fixes what rules the texts and the time-outs, against the URL, the database and the role", async () => {
    const { url } = await server.createDatabase();
    const [[database] = []] = await session.query(
      "SELECT max(datname) FROM pg_database WHERE datname LIKE 'db%'",
    );
    await session.query(
      `ALTER DATABASE "${database}" SET timezone = 'Asia/Tokyo'; ALTER DATABASE "${database}" SET idle_session_timeout = '1h'; ALTER DATABASE "${database}" SET transaction_timeout = '1h'; ALTER ROLE postgres IN DATABASE "${database}" SET search_path = public`,
    );
    const other = await open(`${url}?options=-c%20TimeZone%3DUTC%2B5%20-c%20work_mem%3D1234kB`);
    const [[all] = []] = await other.query(
      `SELECT json_object_agg(name, setting) FROM pg_settings WHERE name IN ('TimeZone', 'DateStyle', 'IntervalStyle',
        'search_path', 'statement_timeout', 'idle_session_timeout', 'transaction_timeout', 'row_security', 'work_mem', 'application_name', 'client_encoding')`,
    );
    await other.close();
    expect(JSON.parse(`${all}`)).toEqual({
      TimeZone: "UTC",
      DateStyle: "ISO, YMD",
      IntervalStyle: "iso_8601",
      search_path: "pg_catalog",
      statement_timeout: `${statementTimeoutMs}`,
      idle_session_timeout: "0",
      transaction_timeout: "0",
      row_security: "off",
      work_mem: "1234",
      application_name: "sluice test",
      client_encoding: "UTF8",
    });
  });

  it("refuses to read what row level security would hide", async () => {
    await session.query(
      `CREATE ROLE reader LOGIN; CREATE TABLE public.hidden (a int); ALTER TABLE public.hidden ENABLE ROW LEVEL SECURITY; GRANT SELECT ON public.hidden TO reader`,
    );
    const reader = await open(server.url().replace("postgres@", "reader@"));
    expect(sqlState(await errorOf(reader.query("SELECT * FROM public.hidden")))).toBe("42501");
    await reader.close();
  });

  it("is lost with the server's reason, also while nobody asks, and says so at once", async () => {
    const other = await open(server.url());
    const waiting = errorOf(other.query("SELECT pg_sleep(60)"));
    await session.query(`SELECT pg_terminate_backend(${other.pid}, 5000)`);
    const error = await waiting;
    expect(error).toMatchObject({ code: "postgres.unreachable", reason: "unreachable" });
    expect(sqlState(error)).toBe("57P01");
    expect(await errorOf(other.query("SELECT 1"))).toMatchObject({ code: "postgres.unreachable" });
    await other.close();

    const idle = await open(server.url());
    await session.query(`SELECT pg_terminate_backend(${idle.pid}, 5000)`);
    const later = await errorOf(idle.query("SELECT 1"));
    expect(later).toMatchObject({ code: "postgres.unreachable" });
    await idle.close();
  });
});

describe("stopping", () => {
  it("ends a running statement in the server within a second, by close and by abort", async () => {
    const stop = new AbortController();
    const byAbort = await open(server.url(), stop.signal);
    const byClose = await open(server.url());
    const pids = `${byAbort.pid}, ${byClose.pid}`;
    const aborted = errorOf(byAbort.query("SELECT pg_sleep(60)"));
    const closed = errorOf(byClose.query("SELECT pg_sleep(60)"));
    const began = performance.now();
    stop.abort(new Error("stop"));
    expect(await aborted).toBe(stop.signal.reason);
    await byClose.close();
    expect(await closed).toMatchObject({ code: "postgres.unreachable" });
    expect(performance.now() - began).toBeLessThan(1_000);
    await eventually(() =>
      session.query(`SELECT pid FROM pg_stat_activity WHERE pid IN (${pids})`),
    ).toEqual([]);
    await Promise.all([byAbort.close(), byClose.close(), byClose.close()]);
    expect(await errorOf(byAbort.query("SELECT 1"))).toBe(stop.signal.reason);
  });

  it("leaves neither sockets nor timers nor listeners", async () => {
    const held = () =>
      process.getActiveResourcesInfo().filter((name) => /TCP|TLS|Timeout/.test(name)).length;
    const before = held();
    const { signal } = new AbortController();
    for (let i = 0; i < 5; i++) {
      const other = await open(server.url(), signal);
      await other.query("SELECT 1");
      await other.close();
      await errorOf(open(server.url("nowhere"), signal));
      await errorOf(open("postgres://u@127.0.0.1:1/d", signal));
    }
    expect(getEventListeners(signal, "abort")).toEqual([]);
    await eventually(held).toBeLessThanOrEqual(before);
  });

  it("breaks off while connecting, also to what never answers", async () => {
    const silent = createServer(() => {}).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    for (const mode of ["disable", "verify-full"]) {
      const stop = new AbortController();
      const opening = errorOf(
        open(`postgres://u:geheim@127.0.0.1:${port}/d?sslmode=${mode}`, stop.signal),
      );
      const [socket] = await once(silent, "connection");
      await once(socket, "data");
      const began = performance.now();
      stop.abort(new Error("stop"));
      expect(await opening).toBe(stop.signal.reason);
      expect(performance.now() - began).toBeLessThan(1_000);
      socket.destroy();
    }
    silent.close();
    const before = AbortSignal.abort(new Error("before"));
    expect(await errorOf(open(server.url(), before))).toBe(before.reason);
  });
});
