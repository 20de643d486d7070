import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import dns from "node:dns";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Finding } from "sluice";
import { fakes } from "sluice/testing";
import { afterAll, afterEach, describe, it } from "vitest";
import { startMongod, type ReplicaSet } from "../../../test/mongod.ts";
import { connector, equal, type Loose } from "./harness.ts";
import { mongodb } from "./mongodb.ts";

const dir = await mkdtemp(join(tmpdir(), "sluice-tls-"));
const set = await startMongod({ auth: true });
const sets: ReplicaSet[] = [set];
afterAll(async () => {
  for (const one of sets) await one.stop();
  await rm(dir, { recursive: true, force: true });
});
const client = set.client();
const admin = client.db("admin");
const { start, stopAll } = connector(set);
afterEach(stopAll);

const hosts = set.url.replace(/^.*@/, "");
const as = (user: string, password = "pw") => `mongodb://${user}:${password}@${hosts}`;

/** Severity and code of all that a check finds. */
async function checked(config: Record<string, unknown>): Promise<readonly Finding[]> {
  const findings = await mongodb.check?.(fakes.context({ config: mongodb.config.parse(config) }));
  assert.ok(findings);
  for (const { severity, fix } of findings) assert.equal(severity === "ok", fix === undefined);
  return findings;
}
const codes = (findings: readonly Finding[]) =>
  findings.map(({ severity, code }) => `${severity} ${code}`);

describe("a check", () => {
  it("says that all is well", async () => {
    await client.db("shop").collection("notes").insertOne({ a: 1 });
    await admin.command({ createUser: "reader", pwd: "pw", roles: [{ role: "read", db: "shop" }] });
    const findings = await checked({ url: as("reader"), collections: ["shop.*"] });
    assert.deepEqual(codes(findings), ["ok mongodb.ready"]);
    assert.match(findings[0]?.message ?? "", /replica set "rs0", MongoDB \d/);
  });

  it("names what is not there yet, and what is no collection", async () => {
    const shop = client.db("shop");
    await shop.createCollection("view", { viewOn: "notes", pipeline: [] });
    const collections = ["shop.notes", "shop.none", "shop.view"];
    assert.deepEqual(codes(await checked({ url: as("reader"), collections })), [
      "ok mongodb.ready",
      "warning mongodb.collection-missing",
      "error mongodb.not-a-collection",
    ]);
    const view = await checked({
      url: as("reader"),
      collections: ["shop.view"],
      scope: "collection",
    });
    assert.deepEqual(codes(view), ["error mongodb.not-a-collection"]);
  });

  it("tells whose images are wanted and not kept", async () => {
    const config = { url: as("reader"), collections: ["shop.notes"] };
    const required = await checked({ ...config, fullDocument: "required" });
    assert.deepEqual(codes(required), ["ok mongodb.ready", "error mongodb.images-off"]);
    assert.match(required[1]?.fix ?? "", /collMod: "notes", changeStreamPreAndPostImages/);
    const available = await checked({ ...config, fullDocumentBeforeChange: "whenAvailable" });
    assert.deepEqual(codes(available), ["ok mongodb.ready", "warning mongodb.images-off"]);
  });

  it("tells missing rights, wrong passwords, no answer, no replica set, bad urls and files", async () => {
    const collections = ["blog.posts"];
    const findings = async (more: Record<string, unknown>) =>
      codes(await checked({ url: as("reader"), collections, ...more }));
    assert.deepEqual(await findings({}), ["error mongodb.forbidden"]);
    assert.deepEqual(await findings({ collections: ["*.*"] }), ["error mongodb.forbidden"]);
    const wrong = as("reader", "wrong");
    assert.deepEqual(await findings({ url: wrong }), ["error mongodb.unauthorized"]);
    const nobody = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300";
    assert.deepEqual(await findings({ url: nobody }), ["error mongodb.unreachable"]);
    assert.deepEqual(await findings({ url: "mongodb://a:b:c@d/" }), ["error mongodb.url"]);
    const noHost = "mongodb+srv://cluster.invalid/?serverSelectionTimeoutMS=300";
    assert.deepEqual(await findings({ url: noHost }), ["error mongodb.unreachable"]);
    const ca = join(dir, "none.pem");
    assert.deepEqual(await findings({ ca }), ["error mongodb.certificate-unreadable"]);
  });

  it("says what is wrong with a URL, and nothing secret of it", async () => {
    const collections = ["shop.notes"];
    const [option] = await checked({ url: "mongodb://a:hush@b/?nonsense=hush", collections });
    assert.match(option?.message ?? "", /option nonsense is not supported/);
    const [value] = await checked({ url: "mongodb://a:hush@b/?compressors=hush", collections });
    assert.equal(value?.code, "mongodb.url");
    const wait = "&serverSelectionTimeoutMS=500";
    const [other] = await checked({ url: as("reader").replace("rs0", "rs9") + wait, collections });
    assert.equal(other?.code, "mongodb.unreachable");
    assert.match(other?.message ?? "", /no host of `url` is a member of the replica set "rs9"/);
    for (const finding of [option, value, other])
      assert.doesNotMatch(JSON.stringify(finding), /hush|pw/);
    const direct = as("reader").replace(/\?.*/, "?directConnection=true");
    assert.deepEqual(codes(await checked({ url: direct, collections })), [
      "ok mongodb.ready",
      "warning mongodb.direct",
    ]);
  });

  it("refuses a server that is no member of a replica set", async () => {
    // Also what such a server answers when a stream is opened.
    const standalone = await startMongod({ standalone: true });
    sets.push(standalone);
    const findings = await checked({ url: standalone.url, collections: ["a.b"] });
    assert.deepEqual(codes(findings), ["error mongodb.not-replica-set"]);
    const run = await connector(standalone).start({ collections: ["a.b"] });
    await assert.rejects(run.ended, { name: "ConfigError", code: "mongodb.not-replica-set" });
  });

  it("warns of an oplog that forgets within a day", async () => {
    const small = await startMongod({ oplogMB: 1 });
    sets.push(small);
    const noise = small.client().db("noise").collection("noise");
    for (let round = 0; round < 30; round++)
      await noise.insertMany(Array.from({ length: 10 }, () => ({ body: "n".repeat(100_000) })));
    const findings = await checked({ url: small.url, collections: ["noise.noise"] });
    assert.deepEqual(codes(findings), ["ok mongodb.ready", "warning mongodb.oplog-short"]);
  });
});

describe("a user", () => {
  it("who may read one collection alone can follow it, copy it and watch it alone", async () => {
    const resource = { db: "shop", collection: "only" };
    const privileges = [{ resource, actions: ["find", "changeStream"] }];
    await admin.command({ createRole: "only", privileges, roles: [] });
    await admin.command({ createUser: "only", pwd: "pw", roles: ["only"] });
    const only = client.db("shop").collection<Loose>("only");
    await only.insertMany([{ _id: 1 }, { _id: 2 }]);
    const collections = ["shop.only"];
    const run = await start({ url: as("only"), collections, scope: "collection" });
    await equal(run, only);
    await only.insertOne({ _id: 3 });
    await equal(run, only);
    const findings = await checked({ url: as("only"), collections });
    assert.deepEqual(codes(findings), ["error mongodb.forbidden"]);
  });

  it("whose rights are taken stops the source, which says so", async () => {
    await admin.command({ createUser: "gone", pwd: "pw", roles: [{ role: "read", db: "shop" }] });
    const run = await start({ url: as("gone"), collections: ["shop.notes"] });
    await run.until(({ length }) => length > 0);
    await admin.command({ updateUser: "gone", roles: [] });
    await assert.rejects(run.ended, { name: "RetryableError", code: "mongodb.forbidden" });
  });

  it("who prefers to read from secondaries is served by the primary all the same", async () => {
    const far = client.db("far");
    await far.collection("notes").insertOne({ a: 1 });
    await admin.command({ createUser: "far", pwd: "pw", roles: [{ role: "read", db: "far" }] });
    const url = `${as("far")}&readPreference=secondary&readPreferenceTags=dc:east&maxStalenessSeconds=120`;
    const run = await start({ url, collections: ["far.notes"] });
    await equal(run, far.collection<Loose>("notes"));
    assert.equal(run.events.filter((event) => event.type.endsWith(".upserted")).length, 1);
  });

  it("whose password is wrong is told so, without the password", async () => {
    const run = await start({ url: as("reader", "hunter2"), collections: ["shop.notes"] });
    await assert.rejects(run.ended, (error: Error) => {
      assert.equal(error.name, "RetryableError");
      assert.ok(!error.message.includes("hunter2"));
      return true;
    });
  });
});

describe("TLS", () => {
  it("needs the authority that signed, and takes a certificate of ours", async () => {
    const { ca, server, own } = await certificates();
    const tls = `--tlsMode requireTLS --tlsCertificateKeyFile ${server} --tlsCAFile ${ca}`;
    const args = tls.split(" ");
    const secure = await startMongod({
      args,
      client: { tls: true, tlsCAFile: ca, tlsCertificateKeyFile: own },
    });
    sets.push(secure);
    const notes = secure.client().db("shop").collection<Loose>("notes");
    await notes.insertOne({ _id: 1 });
    const run = await connector(secure).start({
      collections: ["shop.notes"],
      ca,
      certificate: own,
    });
    await equal(run, notes);
    await notes.insertOne({ _id: 2 });
    await equal(run, notes);
    await run.stop();
    const url = `${secure.url}&tls=true&serverSelectionTimeoutMS=500`;
    const without = await checked({ url, collections: ["shop.notes"] });
    assert.deepEqual(codes(without), ["error mongodb.unreachable"]);
    assert.match(without[0]?.message ?? "", /self.signed|certificate/i);
  });
});

it("an SRV url is resolved, with the options that its TXT record adds", async () => {
  const port = new URL(hosts.replace(/^/, "http://")).port;
  const resolver = await nameServer({ host: "node.shop.test", port: Number(port) });
  try {
    // Neither password database nor set are in the url: the TXT record names them.
    const url = "mongodb+srv://reader:pw@db.shop.test/?tls=false";
    const findings = await checked({ url, collections: ["shop.notes"] });
    assert.deepEqual(codes(findings), ["ok mongodb.ready"]);
  } finally {
    resolver.close();
  }
});

it("does not take long to find nobody home", async () => {
  const server = createServer(() => {}).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  const started = performance.now();
  const findings = await checked({ url: `mongodb://127.0.0.1:${port}/`, collections: ["a.b"] });
  assert.deepEqual(codes(findings), ["error mongodb.unreachable"]);
  assert.ok(performance.now() - started < 8_000);
  server.close();
});

/** Answers what a driver asks of DNS, from a socket of our own; addresses of `.test` are this machine's. */
async function nameServer(target: { readonly host: string; readonly port: number }) {
  const socket = createSocket("udp4");
  const name = (text: string) =>
    Buffer.concat([
      ...text.split(".").map((part) => Buffer.from([part.length, ...Buffer.from(part)])),
      Buffer.from([0]),
    ]);
  const number = (...values: number[]) =>
    Buffer.from(values.flatMap((one) => [one >> 8, one & 255]));
  socket.on("message", (query, from) => {
    const end = query.indexOf(0, 12) + 5;
    const type = query.readUInt16BE(end - 4);
    const text = Buffer.from("authSource=admin&replicaSet=rs0");
    const data =
      type === 33
        ? Buffer.concat([number(0, 0, target.port), name(target.host)])
        : Buffer.from([text.length, ...text]);
    const head = Buffer.concat([query.subarray(0, 2), number(0x8180, 1, 1, 0, 0)]);
    const answer = Buffer.concat([number(0xc00c, type, 1, 0, 60, data.length), data]);
    socket.send(Buffer.concat([head, query.subarray(12, end), answer]), from.port, from.address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const [before, lookup] = [dns.getServers(), dns.lookup];
  dns.setServers([`127.0.0.1:${socket.address().port}`]);
  const ours = (host: string, ...more: never[]) =>
    (lookup as (...all: unknown[]) => unknown)(
      host.endsWith(".test") ? "127.0.0.1" : host,
      ...more,
    );
  dns.lookup = ours as unknown as typeof dns.lookup;
  return {
    close: () => {
      dns.setServers(before);
      dns.lookup = lookup;
      socket.close();
    },
  };
}

/** An authority, and what it signed for the server and for us. */
async function certificates() {
  const path = (name: string) => join(dir, name);
  const openssl = (line: string) =>
    execFileSync("openssl", line.split(" "), { cwd: dir, stdio: "ignore" });
  await writeFile(path("ext"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
  openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca");
  for (const name of ["server", "own"]) {
    openssl(
      `req -newkey rsa:2048 -nodes -keyout ${name}.key -out ${name}.csr -subj /CN=${name}/O=${name}`,
    );
    openssl(
      `x509 -req -in ${name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out ${name}.crt -days 2 -extfile ext`,
    );
    await writeFile(
      path(`${name}.pem`),
      readFileSync(path(`${name}.key`), "utf8") + readFileSync(path(`${name}.crt`), "utf8"),
    );
  }
  return { ca: path("ca.pem"), server: path("server.pem"), own: path("own.pem") };
}
