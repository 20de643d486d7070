import { execFile } from "node:child_process";
import { once } from "node:events";
import { chown, copyFile, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it, onTestFinished } from "vitest";
import { fakes } from "sluice/testing";
import { config as schema } from "../config.ts";
import { postgres } from "../postgres.ts";
import { remedies } from "../setup/harness.ts";
import { eventually, held, isSweep, openBench, startPostgres, type Bench } from "./harness.ts";
import { onBoth } from "./on-both.test.data.ts";

const context = (bench: Bench, more: object = {}) =>
  fakes.context({
    name: "rows",
    config: schema.parse({ url: bench.url, slot: `s_${bench.database}`, tables: ["t"], ...more }),
  });

async function table({ sql }: Bench): Promise<void> {
  await sql("CREATE TABLE t(id int PRIMARY KEY, data text)");
  await sql("INSERT INTO t SELECT n, 'row' FROM generate_series(1, 30) n");
}

onBoth((scenario) => {
  const states: Readonly<Record<string, (name: string) => string | undefined>> = {
    missing: () => undefined,
    "lacks a table": (name) =>
      `CREATE PUBLICATION "${name}" FOR TABLE ONLY other WITH (publish_via_partition_root)`,
    "lacks truncate": (name) =>
      `CREATE PUBLICATION "${name}" FOR TABLE ONLY t WITH (publish = 'insert, update, delete', publish_via_partition_root)`,
    exists: (name) =>
      `CREATE PUBLICATION "${name}" FOR TABLE ONLY t WITH (publish_via_partition_root)`,
  };
  for (const [name, made] of Object.entries(states)) {
    scenario(`L11: managed, the publication ${name}: it is made right`, async (bench) => {
      await table(bench);
      await bench.sql("CREATE TABLE other(id int PRIMARY KEY)");
      const statement = made(`s_${bench.database}`);
      if (statement) await bench.sql(statement);
      const run = await bench.streaming({ tables: ["t"] });
      await bench.sql("TRUNCATE t; INSERT INTO t VALUES (5, 'five')");
      await run.until((events) => held(events).size === 1, "the truncate");
    });
    scenario(
      `L11: existing, the publication ${name}: it is refused with the SQL, which mends it`,
      async (bench) => {
        await table(bench);
        await bench.sql("CREATE TABLE other(id int PRIMARY KEY)");
        const statement = made(`s_${bench.database}`);
        if (statement) await bench.sql(statement);
        const existing = { tables: ["t"], setup: false };
        const found = async () =>
          ((await postgres.check?.(context(bench, existing))) ?? []).filter(
            ({ severity }) => severity === "error",
          );
        const refused = await bench.start(existing);
        await expect(refused.ended).rejects.toThrow(name === "exists" ? /slot/ : /publication/);
        expect(await bench.slot()).toBeUndefined();
        for (let tries = 0; (await found()).length > 0 && tries < 3; tries++)
          for (const sql of remedies(await found())) await bench.sql(sql);
        expect(await found()).toEqual([]);
        const run = await bench.streaming(existing);
        await bench.sql("TRUNCATE t; INSERT INTO t VALUES (5, 'five')");
        await run.until((events) => held(events).size === 1, "the truncate");
      },
    );
  }

  scenario(
    "check finds nothing wrong with what runs, and remove leaves it alone until it stops",
    async (bench) => {
      await table(bench);
      const run = await bench.streaming({ tables: ["t"] });
      const findings = (await postgres.check?.(context(bench))) ?? [];
      expect(findings.filter(({ severity }) => severity === "error")).toEqual([]);
      const early = (await postgres.remove?.(context(bench))) ?? [];
      expect(early.map(({ severity, code }) => `${severity} ${code}`)).toContain(
        "error postgres.slot-busy",
      );
      expect(await bench.slot()).toBeDefined();
      await run.stop();
      for (const times of [1, 2]) {
        const late = (await postgres.remove?.(context(bench))) ?? [];
        expect(
          late.filter(({ severity }) => severity === "error"),
          `${times}`,
        ).toEqual([]);
      }
      expect(await bench.slot()).toBeUndefined();
      expect(await bench.sql("SELECT pubname FROM pg_publication")).toEqual([]);
    },
  );

  const handles = () =>
    process.getActiveResourcesInfo().filter((kind) => /TCPSocket|TLS|Timeout/.test(kind)).length;
  const phases: Readonly<Record<string, (bench: Bench) => Promise<() => Promise<number>>>> = {
    "a port that does not answer": async (bench) => {
      const dead = createServer((socket) => socket.resume());
      await once(dead.listen(0, "127.0.0.1"), "listening");
      onTestFinished(() => void dead.close());
      const { port } = dead.address() as AddressInfo;
      const waiting = once(dead, "connection");
      const run = await bench.start({ tables: ["t"], url: `postgres://x@127.0.0.1:${port}/x` });
      await waiting;
      return run.stop;
    },
    "the slot's creation": async (bench) => {
      await bench.sql("BEGIN; INSERT INTO t VALUES (1000, 'open')");
      const run = await bench.start({ tables: ["t"] });
      const other = await bench.connect();
      await eventually(
        async () =>
          (
            await other.query(
              "SELECT FROM pg_replication_slots WHERE database = current_database()",
            )
          ).rows.length > 0,
        "the half-made slot",
      );
      await other.end();
      return async () => {
        const ms = await run.stop();
        await bench.sql("COMMIT");
        return ms;
      };
    },
    "a copy": async (bench) => {
      await bench.sql(
        "INSERT INTO t SELECT n, repeat('x', 10000) FROM generate_series(2000, 6000) n",
      );
      const run = await bench.start({ tables: ["t"], chunkRows: 10 });
      await run.until(({ length }) => length > 20);
      expect(run.events.some(isSweep)).toBe(false);
      return run.stop;
    },
    "a copy that waits for a lock": async (bench) => {
      const run = await bench.streaming({ tables: ["t"] });
      const other = await bench.connect();
      await other.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
      await run.request({ id: "r" });
      await eventually(
        async () =>
          (
            await bench.sql(
              "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
            )
          ).length > 0,
        "somebody who waits",
      );
      return async () => {
        const ms = await run.stop();
        await other.end();
        return ms;
      };
    },
    streaming: async (bench) => (await bench.streaming({ tables: ["t"] })).stop,
    "a transaction that is not asked for": async (bench) => {
      const run = await bench.streaming({ tables: ["t"] });
      run.pause();
      await bench.sql(
        "INSERT INTO t SELECT n, repeat('x', 10000) FROM generate_series(2000, 6000) n",
      );
      return run.stop;
    },
  };
  for (const [name, begin] of Object.entries(phases))
    scenario(`an abort ends it within a second, and leaves nothing: ${name}`, async (bench) => {
      await table(bench);
      const before = handles();
      const stop = await begin(bench);
      expect(await stop()).toBeLessThan(1_000);
      await eventually(async () => {
        const [row] = await bench.sql(
          "SELECT count(*)::int AS count FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'sluice%'",
        );
        return row?.["count"] === 0 && handles() <= before;
      }, "the end of connections and timers");
    });
});

describe("TLS", () => {
  it("verify-full carries the stream and the copy, and refuses another name and another authority", async () => {
    const dir = await mkdtemp(join(tmpdir(), "sluice-tls-"));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    const openssl = (text: string) => promisify(execFile)("openssl", text.split(" "), { cwd: dir });
    for (const ca of ["ca", "other"])
      await openssl(
        `req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=${ca} -keyout ${ca}.key -out ${ca}.crt`,
      );
    await openssl(
      "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
    );
    await writeFile(join(dir, "names"), "subjectAltName=DNS:localhost\n");
    await openssl(
      "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt",
    );
    const server = await startPostgres({ version: 18 });
    onTestFinished(server.stop);
    const { uid, gid } = await stat(server.dir);
    for (const file of ["server.key", "server.crt"]) {
      await copyFile(join(dir, file), join(server.dir, file));
      await chown(join(server.dir, file), uid, gid);
    }
    const bench = await openBench(server);
    try {
      await table(bench);
      await bench.sql("ALTER SYSTEM SET ssl = on");
      await bench.sql("SELECT pg_reload_conf()");
      await eventually(async () => (await bench.sql("SHOW ssl"))[0]?.["ssl"] === "on", "TLS");
      const secure = (host: string) =>
        `${bench.url.replace("127.0.0.1", host)}?sslmode=verify-full`;
      const run = await bench.streaming({
        tables: ["t"],
        url: secure("localhost"),
        ca: join(dir, "ca.crt"),
      });
      await bench.sql("INSERT INTO t VALUES (1000, 'secret')");
      await run.until((events) => held(events).has('["1000"]'));
      const plain = await bench.sql(
        "SELECT FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE NOT s.ssl AND a.application_name LIKE 'sluice%'",
      );
      expect(plain).toEqual([]);
      await run.stop();
      for (const [host, ca] of [
        ["127.0.0.1", "ca.crt"],
        ["localhost", "other.crt"],
      ] as const) {
        const refused = await bench.start({ tables: ["t"], url: secure(host), ca: join(dir, ca) });
        await expect(refused.ended).rejects.toMatchObject({ code: "postgres.tls" });
      }
    } finally {
      await bench.close();
    }
  }, 60_000);
});
