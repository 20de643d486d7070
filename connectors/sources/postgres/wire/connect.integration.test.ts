import { execFile } from "node:child_process";
import { once } from "node:events";
import { chown, copyFile, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify, inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startPostgres, type PostgresServer } from "../../../../test/postgres-server.ts";
import { openSession, type Session } from "../session.ts";
import { isEnd, messages, openStream } from "./harness.ts";
import { openReplication } from "./replication.ts";

const password = "ge:heim/100%@";
const run = { name: "test", signal: new AbortController().signal };
const openssl = (dir: string, ...args: readonly string[]) =>
  promisify(execFile)("openssl", args, { cwd: dir });

const eventually = <T>(get: () => T) => expect.poll(get, { timeout: 15_000 });

let server: PostgresServer;
let admin: Session;
let dir: string;

beforeAll(async () => {
  server = await startPostgres({
    version: 18,
    settings: { max_connections: "12", superuser_reserved_connections: "3", max_wal_senders: "2" },
  });
  admin = await openSession({ url: server.url(), statementTimeoutMs: 0 }, run);
  dir = await mkdtemp(join(tmpdir(), "sluice-tls-"));
  await admin.query(
    `CREATE ROLE plain LOGIN PASSWORD '${password}'; CREATE ROLE follower LOGIN REPLICATION; CREATE ROLE stranger LOGIN; CREATE ROLE open LOGIN`,
  );
  const hba = join(server.dir, "pg_hba.conf");
  await writeFile(
    hba,
    `host all plain 127.0.0.1/32 scram-sha-256\nhostnossl all follower 127.0.0.1/32 reject\nhost all stranger 127.0.0.1/32 reject\n${await readFile(hba, "utf8")}`,
  );
  await admin.query("SELECT pg_reload_conf()");
});
afterAll(async () => {
  await admin?.close();
  await server?.stop();
  await rm(dir, { recursive: true, force: true });
});

/** How a connection is refused; the password is nowhere in the error. */
async function refusal(url: string, ca?: string) {
  const options = { url, ca, statementTimeoutMs: 0 };
  const error = await openSession(options, run).then(
    (session) => session.close().then(() => undefined),
    (caught: unknown) => caught,
  );
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(password);
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(
    encodeURIComponent(password),
  );
  return error;
}

const as = (user: string, secret?: string) =>
  server
    .url()
    .replace(
      "postgres@",
      `${user}${secret === undefined ? "" : `:${encodeURIComponent(secret)}`}@`,
    );

describe("a refused connection", () => {
  it("says what the server holds against us, and the fix", async () => {
    expect(await refusal(as("plain", password))).toBeUndefined();
    expect(await refusal(as("plain", `${password}x`))).toMatchObject({
      code: "postgres.unauthorized",
      reason: "refused",
      message: expect.stringMatching(/refuses user "plain": password authentication failed/),
      fix: expect.stringMatching(/password/),
    });
    expect(await refusal(as("plain"))).toMatchObject({
      code: "postgres.unauthorized",
      fix: expect.stringMatching(/Put user and password into `url`/),
    });
    expect(await refusal(as("stranger"))).toMatchObject({
      code: "postgres.unauthorized",
      fix: expect.stringMatching(/pg_hba\.conf/),
    });
    expect(await refusal(as("follower"))).toMatchObject({
      code: "postgres.unauthorized",
      fix: expect.stringMatching(/\?sslmode=verify-full/),
    });
    expect(await refusal(as("nobody"))).toMatchObject({ code: "postgres.unauthorized" });
    expect(await refusal(server.url('no "such" one'))).toMatchObject({
      code: "postgres.no-database",
      reason: "refused",
      message: expect.stringContaining('no database "no \\"such\\" one"'),
    });
    expect(await refusal(`${server.url()}?options=-c%20no_such%3D1`)).toMatchObject({
      code: "postgres.refused",
    });
    const walsender = openReplication({ url: as("open") }, run);
    await expect(walsender).rejects.toMatchObject({
      code: "postgres.unauthorized",
      fix: 'Run: ALTER ROLE "open" REPLICATION;',
    });
  });

  it("is tried again when there is no room, no server, or none that answers as one", async () => {
    const sessions: Session[] = [];
    const options = { url: as("open"), statementTimeoutMs: 0 };
    const full = await (async () => {
      for (;;) sessions.push(await openSession(options, run));
    })().catch((error: unknown) => error);
    expect(full).toMatchObject({
      code: "postgres.unreachable",
      reason: "unreachable",
      message: expect.stringMatching(/takes no connection now: .*slots/),
    });
    for (const session of sessions) await session.close();

    const walsenders = await Promise.all(
      [1, 2].map(() => openReplication({ url: server.url() }, run)),
    );
    await expect(openReplication({ url: server.url() }, run)).rejects.toMatchObject({
      code: "postgres.unreachable",
      fix: expect.stringMatching(/max_wal_senders/),
    });
    for (const walsender of walsenders) await walsender.close();

    expect(
      await refusal(`postgres://u:${encodeURIComponent(password)}@127.0.0.1:1/d`),
    ).toMatchObject({
      code: "postgres.unreachable",
      message: "postgres: 127.0.0.1:1 does not answer: ECONNREFUSED.",
    });
    expect(await refusal("postgres://u@nowhere.invalid/d")).toMatchObject({
      code: "postgres.unreachable",
      message: expect.stringMatching(/ENOTFOUND|EAI_AGAIN/),
    });
    const kerberos = "R\0\0\0\u0008\0\0\0\u0007";
    const oauth = "R\0\0\0\u0015\0\0\0\u000aOAUTHBEARER\0\0";
    for (const [answer, error] of [
      [kerberos, { code: "postgres.unauthorized", fix: expect.stringMatching(/scram-sha-256/) }],
      [oauth, { code: "postgres.unauthorized", fix: expect.stringMatching(/scram-sha-256/) }],
      ["HTTP/1.1 400 Bad Request\r\n\r\n", { code: "postgres.unreachable" }],
      ["", { code: "postgres.unreachable" }],
      ["\0".repeat(100), { code: "postgres.unreachable" }],
    ] as const) {
      const answering = createServer((socket) => socket.once("data", () => socket.end(answer)));
      await once(answering.listen(0, "127.0.0.1"), "listening");
      const { port } = answering.address() as AddressInfo;
      expect(await refusal(`postgres://u:x@127.0.0.1:${port}/d`), answer).toMatchObject(error);
      answering.close();
    }
  });
});

describe("TLS", () => {
  beforeAll(async () => {
    for (const ca of ["ca", "other"])
      await openssl(
        dir,
        ..."req -x509 -newkey rsa:2048 -nodes -days 2 -subj".split(" "),
        `/CN=${ca}`,
        "-keyout",
        `${ca}.key`,
        "-out",
        `${ca}.crt`,
      );
    await openssl(
      dir,
      ..."req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr".split(
        " ",
      ),
    );
    await writeFile(join(dir, "names"), "subjectAltName=DNS:localhost\n");
    await openssl(
      dir,
      ..."x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt".split(
        " ",
      ),
    );
  });

  const secure = (host = "localhost") =>
    `${server.url().replace("127.0.0.1", host)}?sslmode=verify-full`;

  it("is refused by a server without it", async () => {
    expect(await refusal(secure())).toMatchObject({
      code: "postgres.tls",
      reason: "refused",
      message: expect.stringMatching(/offers no TLS/),
    });
  });

  it("is used when name and authority are right, by sessions and streams, and refused else", async () => {
    const { uid, gid } = await stat(server.dir);
    for (const file of ["server.key", "server.crt"]) {
      await copyFile(join(dir, file), join(server.dir, file));
      await chown(join(server.dir, file), uid, gid);
    }
    await admin.query("ALTER SYSTEM SET ssl = on");
    await admin.query("SELECT pg_reload_conf()");
    const ca = join(dir, "ca.crt");
    await eventually(() => refusal(secure(), ca)).toBeUndefined();

    const session = await openSession({ url: secure(), ca, statementTimeoutMs: 0 }, run);
    expect(
      await session.query(`SELECT ssl, version FROM pg_stat_ssl WHERE pid = ${session.pid}`),
    ).toEqual([["t", "TLSv1.3"]]);
    await session.query(
      "CREATE TABLE public.big (a text); CREATE PUBLICATION p FOR TABLE public.big",
    );
    const stream = await openStream(secure(), { publication: "p", ca });
    await session.query(
      "INSERT INTO public.big SELECT repeat('x', 1000000) FROM generate_series(1, 20)",
    );
    await session.query("SELECT pg_logical_emit_message(false, 'end', '')");
    const inserted = (await messages(stream, isEnd)).filter(({ kind }) => kind === "insert");
    expect(inserted).toHaveLength(20);
    await stream.close();
    await session.close();

    expect(await refusal(secure("127.0.0.1"), ca)).toMatchObject({
      code: "postgres.tls",
      reason: "refused",
      message: expect.stringMatching(/for other names than 127\.0\.0\.1/),
      fix: expect.stringMatching(/host name/),
    });
    for (const wrong of [join(dir, "other.crt"), undefined])
      expect(await refusal(secure(), wrong)).toMatchObject({
        code: "postgres.tls",
        message: expect.stringMatching(/nobody known signed/),
        fix: expect.stringMatching(/Name in `ca`/),
      });
  });
});
