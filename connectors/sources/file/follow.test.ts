import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  appendFile,
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import {
  ConfigError,
  RetryableError,
  isRecordChange,
  type RecordChange,
  type SluiceEvent,
} from "sluice";
import { fakes, type FakeState, type SourceRun } from "sluice/testing";
import { afterEach, beforeEach, describe, it } from "vitest";
import { file } from "./file.ts";

let dir = "";
let place: FakeState;
const runs: SourceRun[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "sluice-file-"));
  place = fakes.state();
});
afterEach(async () => {
  for (const one of runs.splice(0)) await one.stop().catch(() => {}); // Its test has judged it.
  await rm(dir, { recursive: true, force: true });
});

const at = (...path: string[]) => join(dir, ...path);
const put = async (path: string, content: string | Uint8Array) => {
  await mkdir(join(at(path), ".."), { recursive: true });
  await writeFile(at(path), content);
};

async function start(
  options: Record<string, unknown> = {},
  more: { killWhen?: (events: readonly SluiceEvent[]) => boolean } = {},
) {
  const config = { path: dir, settleMs: 60, ...options };
  const run = await fakes.run(file, { config, name: "notes", state: place, ...more });
  runs.push(run);
  return run;
}

/** Waits until the first read, or the catch-up of a later start, is over. */
async function started(options: Record<string, unknown> = {}) {
  const run = await start(options);
  await eventually(() => run.progress.some(({ phase, total }) => phase === "streaming" && !total));
  return run;
}

async function eventually(what: () => boolean | Promise<boolean>) {
  const deadline = performance.now() + 15_000;
  while (!(await what())) {
    assert.ok(performance.now() < deadline, `never came true: ${what.toString()}`);
    await sleep(5);
  }
}

/** What a sink would hold. */
function held(events: readonly SluiceEvent[]): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const event of events) {
    if (!isRecordChange(event)) continue;
    if (event.type === "dev.sluice.record.deleted") files.delete(event.subject);
    if (event.type === "dev.sluice.record.upserted") {
      const { text, contentBase64 } = event.data.after;
      files.set(event.subject, (text ?? contentBase64) as string);
    }
  }
  return files;
}
const holds = (path: string, text: string) => (events: readonly SluiceEvent[]) =>
  held(events).get(path) === text;
const lacks = (path: string) => (events: readonly SluiceEvent[]) =>
  events.some(({ subject }) => subject === path) && !held(events).has(path);
const said = (events: readonly SluiceEvent[]) =>
  events
    .filter(({ subject }) => subject !== "*")
    .map(({ type, subject }) => `${type.split(".").at(-1)} ${subject}`);

/** A file that is put and emitted: what happened before it has been seen too. */
async function mark(run: SourceRun) {
  const name = `mark-${performance.now()}.md`;
  await put(name, name);
  await run.until(holds(name, name));
}

describe("a file", () => {
  it("becomes an event with its uri, type, size, time and text", async () => {
    await put("a/B c.MD", "\u{FEFF}# Hi");
    await utimes(at("a/B c.MD"), 1_000_000_000, 1_000_000_000);
    const run = await start();
    await run.until(holds("a/B c.MD", "# Hi"));
    const [event] = run.events;
    assert.ok(event && isRecordChange(event) && event.type === "dev.sluice.record.upserted");
    assert.equal(event.source, "/file/notes");
    assert.equal(event.subject, "a/B c.MD");
    assert.equal(event.time, "2001-09-09T01:46:40.000Z");
    assert.deepEqual(event.data.key, { path: "a/B c.MD" });
    const { etag, uri, ...rest } = event.data.after;
    assert.deepEqual(rest, {
      mediaType: "text/markdown",
      size: 7,
      modified: "2001-09-09T01:46:40.000Z",
      text: "# Hi",
    });
    assert.equal(uri, pathToFileURL(at("a/B c.MD")).href);
    assert.equal(etag, createHash("sha256").update("\u{FEFF}# Hi").digest("hex"));
  });

  it("travels as bytes where it is not UTF-8 or no text", async () => {
    await put("latin.txt", Buffer.from([0x66, 0xfc, 0x72]));
    await put("x.pdf", "%PDF");
    const run = await start();
    const base64 = (bytes: string) => Buffer.from(bytes, "latin1").toString("base64");
    await run.until(holds("latin.txt", base64("f\u{FC}r")));
    await run.until(holds("x.pdf", base64("%PDF")));
  });

  it("is known by its name as it is on disk", async () => {
    const names = ["new\nline.md", "\u{1F600}.md", "e\u{301}.md", "\u{E9}.md", "x".repeat(255)];
    const include = ["**"];
    for (const name of names) await put(name, "x");
    const bytes = Buffer.concat([Buffer.from(`${dir}/bad-`), Buffer.from([0xff, 0xfe])]);
    await writeFile(bytes, "x");
    const run = await started({ include });
    assert.deepEqual([...held(run.events).keys()].toSorted(), names.toSorted());
    const { counters, lines } = run;
    assert.equal(counters.get("files_skipped{reason=name-not-utf8}"), 1);
    assert.equal(lines.filter(({ level }) => level === "warn").length, 1);
    await put(names[0] ?? "", "y");
    await run.until(holds(names[0] ?? "", "y"));
  });

  it("is left out by a pattern, with all that is in an excluded folder", async () => {
    for (const path of ["a.md", "b.txt", "d/c.md", ".git/x.md", "d/node_modules/y/z.md", "no/q.md"])
      await put(path, "x");
    const run = await started({
      include: ["**/*.md"],
      exclude: ["**/.*", "**/node_modules", "no/**"],
    });
    assert.deepEqual([...held(run.events).keys()].toSorted(), ["a.md", "d/c.md"]);
    for (const path of ["b.txt", ".git/x.md", "no/q.md"]) await put(path, "y");
    await mark(run);
    assert.ok(!said(run.events).some((line) => /b\.txt|\.git|no\//.test(line)));
  });

  it("that a new pattern leaves out is deleted", async () => {
    await put("a.md", "x");
    await put("b.md", "x");
    await (await started()).stop();
    const run = await started({ exclude: ["b.md"] });
    assert.deepEqual(said(run.events), ["deleted b.md"]);
  });

  it("is taken as absent while it is larger than maxBytes", async () => {
    await put("a.md", "small");
    await put("b.md", "too large from the start");
    const run = await started({ maxBytes: 10 });
    assert.deepEqual(said(run.events), ["upserted a.md"]);
    await put("a.md", "grown too large");
    await run.until(lacks("a.md"));
    assert.equal(run.counters.get("files_skipped{reason=file-too-large}"), 2);
    await truncate(at("a.md"), 5);
    await run.until(holds("a.md", "grown"));
  });
});

describe("a change", () => {
  it("is never lost, however close it follows another", { timeout: 60_000 }, async () => {
    const trials = Array.from({ length: 300 }, (_, i) => `${i}.md`);
    for (const path of trials) await put(path, "0");
    const run = await started({ settleMs: 100 });
    const trial = async (path: string, i: number) => {
      await sleep((i % 50) * 37);
      await put(path, "first");
      await sleep(i % 61);
      await put(path, "last");
    };
    await Promise.all(trials.map(trial));
    await run.until((events) => {
      const files = held(events);
      return trials.every((path) => files.get(path) === "last");
    });
    await mark(run);
    assert.ok(trials.every((path) => held(run.events).get(path) === "last"));
  });

  it("is emitted whole, not half-written", async () => {
    const run = await started({ settleMs: 150 });
    for (let part = 0; part < 10; part++) {
      await appendFile(at("slow.md"), `${part}`);
      await sleep(20);
    }
    await run.until(holds("slow.md", "0123456789"));
    assert.deepEqual(said(run.events), ["upserted slow.md"]);
  });

  it("is emitted now and then where a file is never quiet", async () => {
    const run = await started();
    let isSeen = false;
    const seen = run.until(({ length }) => length > 1).then(() => (isSeen = true));
    for (let line = 0; line < 1_000 && !isSeen; line++) {
      await appendFile(at("app.log"), `${line}\n`);
      await sleep(10);
    }
    await seen;
    assert.ok(isSeen);
  });

  it("of nothing but rights, inode and access time emits nothing", async () => {
    await put("a.md", "x");
    const mtime = new Date("2020-01-01"); // whole: no file system rounds it
    await utimes(at("a.md"), mtime, mtime);
    const run = await started();
    await chmod(at("a.md"), 0o600);
    await put(".a.md", "x");
    await utimes(at(".a.md"), new Date(), mtime);
    await rename(at(".a.md"), at("a.md"));
    await mark(run);
    assert.equal(said(run.events).filter((line) => line.endsWith(" a.md")).length, 1);
    await run.stop();
    const again = await started();
    assert.deepEqual(said(again.events), []);
  });

  it("of when it was modified is one, while it runs and after", async () => {
    await put("a.md", "x");
    const run = await started();
    const [first, second] = [new Date("2020-01-01"), new Date("2021-01-01")];
    await utimes(at("a.md"), first, first);
    const modified = (events: readonly SluiceEvent[]) =>
      events.flatMap((event) =>
        isRecordChange(event) && event.type === "dev.sluice.record.upserted"
          ? [`${event.data.op} ${JSON.stringify(event.data.after["modified"])}`]
          : [],
      );
    await run.until((events) => modified(events).includes(`update ${JSON.stringify(first)}`));
    await run.stop();
    await utimes(at("a.md"), second, second);
    const again = await started();
    assert.deepEqual(modified(again.events), [`update ${JSON.stringify(second)}`]);
  });

  it("is seen after a restart even where size and mtime are as before", async () => {
    await put("a.md", "one");
    const { atime, mtime } = await stat(at("a.md"));
    await (await started()).stop();
    await put("a.md", "two");
    await utimes(at("a.md"), atime, mtime);
    const run = await started();
    assert.deepEqual(said(run.events), ["upserted a.md"]);
    assert.ok(holds("a.md", "two")(run.events));
  });

  it("by a temporary file and a rename is one change", async () => {
    await put("a.md", "old");
    const run = await started();
    await put("a.md~tmp", "new");
    await rename(at("a.md~tmp"), at("a.md"));
    await run.until(holds("a.md", "new"));
    await mark(run);
    const mine = said(run.events).filter((line) => !line.includes("mark"));
    assert.deepEqual(mine, ["upserted a.md", "upserted a.md"]);
  });
});

describe("names that move:", () => {
  it("a rename is a delete and a create", async () => {
    await put("a.md", "x");
    const run = await started();
    await rename(at("a.md"), at("b.md"));
    await run.until((events) => lacks("a.md")(events) && holds("b.md", "x")(events));
  });

  it("a folder that is renamed, filled and removed", async () => {
    for (let i = 0; i < 20; i++) await put(`d/${i % 4}/${i}.md`, `${i}`);
    const run = await started();
    await rename(at("d"), at("e"));
    await run.until((events) => {
      const paths = [...held(events).keys()];
      return paths.length === 20 && paths.every((path) => path.startsWith("e/"));
    });
    await put("e/1/1.md", "again");
    await run.until(holds("e/1/1.md", "again"));
    await rm(at("e"), { recursive: true });
    await run.until((events) => held(events).size === 0);
  });

  it("files in folders made at the same moment", async () => {
    const run = await started();
    const paths = Array.from({ length: 400 }, (_, i) => `n/${i % 40}/${i % 7}/${i}.md`);
    await Promise.all(paths.map((path) => put(path, path)));
    await run.until((events) => held(events).size === paths.length);
  });

  it("a folder in place of a file, and the reverse", async () => {
    await put("x", "a file");
    await put("y/z.md", "in a folder");
    const run = await started();
    await rm(at("x"));
    await put("x/in.md", "now a folder");
    await rm(at("y"), { recursive: true });
    await put("y", "now a file");
    await run.until((events) => {
      const names = [...held(events).keys()].toSorted();
      return names.join() === "x/in.md,y";
    });
  });
});

describe("what is no file of the folder", () => {
  it("is never opened: pipes and sockets", async () => {
    execFileSync("mkfifo", [at("pipe")]);
    const server = createServer().listen(at("socket"));
    await once(server, "listening");
    await put("a.md", "x");
    const run = await started();
    execFileSync("mkfifo", [at("pipe2")]);
    await mark(run);
    assert.ok(!said(run.events).some((line) => /pipe|socket/.test(line)));
    server.close();
  });

  it("does not leak through links, whether they are followed or not", async () => {
    const secret = await mkdtemp(join(tmpdir(), "sluice-secret-"));
    await writeFile(join(secret, "s.md"), "secret");
    await put("d/s.md", "ours");
    await symlink(join(secret, "s.md"), at("link.md"));
    await symlink(secret, at("folder"));
    for (const followSymlinks of [false, true]) {
      place = fakes.state();
      const run = await started({ followSymlinks });
      await symlink(join(secret, "s.md"), at(`later-${followSymlinks}.md`));
      await mark(run);
      assert.ok(!JSON.stringify(run.events).includes("secret"));
      await run.stop();
    }
    // A folder that we know becomes a link to somewhere else.
    const run = await started();
    await rm(at("d"), { recursive: true });
    await symlink(secret, at("d"));
    await run.until(lacks("d/s.md"));
    assert.ok(!JSON.stringify(run.events).includes("secret"));
    await rm(secret, { recursive: true });
  });

  it("is followed inside the folder where that is wanted, and loops end", async () => {
    await put("a/x.md", "x");
    await put("b/y.md", "y");
    await symlink(at("a/x.md"), at("alias.md"));
    await symlink(at("b"), at("a/to-b"));
    await symlink(at("a"), at("b/to-a"));
    await symlink(dir, at("b/up"));
    const run = await started({ followSymlinks: true });
    const paths = [...held(run.events).keys()].toSorted();
    const expected = ["a/to-b/y.md", "a/x.md", "alias.md", "b/to-a/x.md", "b/y.md"];
    assert.deepEqual(paths, expected);
    await put("a/x.md", "changed");
    await run.until(holds("alias.md", "changed"));
  });
});

describe("a file that cannot be read", () => {
  // The superuser reads everything, so these go on as somebody else.
  const isRoot = process.geteuid?.() === 0;
  beforeEach(async () => {
    await chmod(dir, 0o777);
    if (isRoot) process.seteuid?.(65_534);
  });
  afterEach(() => {
    if (isRoot) process.seteuid?.(0);
  });

  it("stays as it is known, is told once, and is read when it can be", async () => {
    await put("a.md", "old");
    const run = await started({ rescanMs: 1_000 });
    await put("a.md", "new");
    await chmod(at("a.md"), 0);
    await eventually(() => run.lines.length > 0);
    await mark(run);
    assert.ok(holds("a.md", "old")(run.events));
    assert.deepEqual(
      run.lines.map(({ level, fields }) => ({ level, fields })),
      [{ level: "warn", fields: { path: "a.md", code: "EACCES" } }],
    );
    await chmod(at("a.md"), 0o600);
    await run.until(holds("a.md", "new"));
  });

  it("survives the sweep of a snapshot", async () => {
    await put("a.md", "x");
    await put("b.md", "x");
    const run = await started();
    const known = run.events.find(({ subject }) => subject === "a.md");
    await chmod(at("a.md"), 0);
    await run.request({ id: "1" });
    await run.until((events) => events.filter(({ subject }) => subject === "*").length === 2);
    const sweep = run.events.at(-1);
    assert.ok(sweep && isRecordChange(sweep) && known && isRecordChange(known));
    assert.ok(sweep.sequence <= known.sequence, "the sweep spares what could not be read");
  });

  it("in a folder that cannot be listed is not deleted", async () => {
    await put("d/a.md", "x");
    await put("d/e/b.md", "x");
    await (await started()).stop();
    await chmod(at("d"), 0);
    const run = await started();
    await chmod(at("d"), 0o700);
    assert.deepEqual(said(run.events), []);
    assert.deepEqual(
      run.lines.map(({ fields }) => fields),
      [{ path: "d", code: "EACCES" }],
    );
  });

  it("as the folder itself holds the source back", async () => {
    const path = at("d");
    await put("d/a.md", "x");
    await (await started({ path })).stop();
    await chmod(path, 0);
    const run = await start({ path });
    await assert.rejects(run.ended, { code: "file.refused", reason: "refused" });
    await chmod(path, 0o700);
  });
});

describe("the folder itself", () => {
  it("that never was there is a mistake in the config", async () => {
    const path = at("absent");
    const run = await start({ path });
    await assert.rejects(run.ended, (error) => {
      assert.ok(error instanceof ConfigError && error.message.includes(path) && error.fix);
      return error.code === "file.path-missing";
    });
    const config = file.config.parse({ path });
    const [finding] = (await file.check?.(fakes.context({ config }))) ?? [];
    assert.equal(finding?.code, "file.path-missing");
  });

  it("that goes away deletes nothing: the source holds until it is back", async () => {
    const path = at("disk");
    for (let i = 0; i < 5; i++) await put(`disk/d/${i}.md`, "x");
    const run = await started({ path });
    await rename(path, at("elsewhere"));
    await assert.rejects(run.ended, (error) => {
      assert.ok(error instanceof RetryableError && error.reason === "unreachable");
      return error.code === "file.unreachable";
    });
    const away = await start({ path });
    await assert.rejects(away.ended, { code: "file.unreachable" });
    // The mount point alone is not the disk.
    await mkdir(path);
    const bare = await start({ path });
    await assert.rejects(bare.ended, { code: "file.unreachable" });
    assert.deepEqual(
      [run, away, bare]
        .flatMap(({ events }) => said(events))
        .filter((line) => line.startsWith("del")),
      [],
    );
    await rm(path, { recursive: true });
    await put("elsewhere/d/0.md", "changed");
    await rename(at("elsewhere"), path);
    const back = await started({ path });
    assert.deepEqual(said(back.events), ["upserted d/0.md"]);
  });

  it("may be emptied while it stays", async () => {
    await put("a.md", "x");
    const run = await started();
    await rm(at("a.md"));
    await run.until(lacks("a.md"));
  });

  it("may be one file, and nothing else of its folder", async () => {
    await put("other.md", "x");
    await put("one.md", "1");
    const path = at("one.md");
    const run = await started({ path });
    assert.deepEqual(said(run.events), ["upserted one.md"]);
    await put("other.md", "y");
    await put("next", "2");
    await rename(at("next"), path);
    await run.until(holds("one.md", "2"));
    await run.stop();
    await rm(path);
    const later = await started({ path });
    assert.deepEqual(said(later.events), ["deleted one.md"]);
  });

  it("may be watched by polling", async () => {
    const run = await started({ polling: true });
    await mark(run);
    await put("a.md", "x");
    await run.until(holds("a.md", "x"));
    await rm(at("a.md"));
    await run.until(lacks("a.md"));
  });
});

describe("a snapshot", () => {
  it("of an empty folder is a sweep alone", async () => {
    const run = await started();
    assert.deepEqual(
      run.events.map(({ type, subject }) => [type, subject]),
      [["dev.sluice.collection.cleared", "*"]],
    );
  });

  it("goes on after a crash where its checkpoint was, and tells how far it is", async () => {
    const count = 2_300;
    for (let i = 0; i < count; i++) await put(`${i}.md`, `${i}`);
    const first = await start({}, { killWhen: ({ length }) => length > 1_000 });
    await first.ended;
    assert.equal(first.batches.length, 2);
    for (const { checkpoint } of first.batches)
      assert.ok(JSON.stringify(checkpoint).includes('"snapshot"'), "it says that it is not done");
    const stored = new Set((first.batches[0]?.events ?? []).map(({ subject }) => subject));
    const second = await started();
    const again = held(second.events);
    assert.equal(again.size, count - stored.size);
    assert.ok([...again.keys()].every((path) => !stored.has(path)));
    const sweep = second.events.at(-1);
    const oldest = first.events.filter(isRecordChange)[0];
    assert.ok(sweep && isRecordChange(sweep) && oldest);
    assert.ok(sweep.sequence < oldest.sequence, "the sweep spares what the first run emitted");
    const { done, total } = second.progress.findLast(({ phase }) => phase === "snapshot") ?? {};
    assert.deepEqual({ done, total }, { done: again.size, total: again.size });
  });

  it("on request goes on after a crash without being asked again", async () => {
    for (let i = 0; i < 1_500; i++) await put(`${i}.md`, `${i}`);
    await (await started()).stop();
    const first = await start({}, { killWhen: ({ length }) => length > 1_000 });
    await first.request({ id: "1" });
    await first.ended;
    const stored = first.batches[0]?.events.length ?? 0;
    const second = await started();
    assert.equal(held(second.events).size, 1_500 - stored);
    assert.equal(second.events.filter(({ subject }) => subject === "*").length, 1);
  });

  it("is taken anew when the checkpoint is gone, and deletes what went meanwhile", async () => {
    await put("a.md", "x");
    await put("b.md", "x");
    await (await started()).stop();
    await rm(at("b.md"));
    await place.state.each([{ key: "checkpoint", value: undefined }]);
    const run = await started();
    assert.deepEqual(said(run.events).toSorted(), ["deleted b.md", "upserted a.md"]);
  });

  it("for one subscription tells everybody what it finds to be new", async () => {
    await put("a.md", "x");
    await put("b.md", "x");
    const run = await started();
    run.pause();
    await put("a.md", "news");
    await run.request({ id: "1", audience: "late" });
    run.resume();
    await run.until((events) => events.at(-1)?.["audience"] === "late" && events.length > 4);
    const [, , , ...after] = run.events;
    const audiences = after.map(({ subject, audience }) => `${subject} ${String(audience)}`);
    assert.deepEqual(audiences.slice(0, -1).toSorted(), ["a.md undefined", "b.md late"]);
    assert.equal(audiences.at(-1), "* late");
  });
});

describe("whatever happens", () => {
  /** A sink's view: the highest version of each path, clears applied. */
  const view = (events: readonly SluiceEvent[]) => {
    const newest = new Map<string, RecordChange>();
    for (const event of events.filter(isRecordChange))
      if (event.type === "dev.sluice.collection.cleared") {
        for (const [path, one] of newest) if (one.sequence < event.data.below) newest.delete(path);
      } else if ((newest.get(event.subject)?.sequence ?? "") <= event.sequence)
        newest.set(event.subject, event);
    return Object.fromEntries(held([...newest.values()]));
  };
  const onDisk = async () => {
    const entries = await readdir(dir, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile());
    const pairs = files.map(async ({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [relative(dir, path), await readFile(path, "utf8")] as const;
    });
    return Object.fromEntries(await Promise.all(pairs));
  };

  for (const seed of [1, 2, 3])
    it(`it ends with what is on disk (seed ${seed})`, { timeout: 60_000 }, async () => {
      let state = seed;
      const random = (below: number) => {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        return Math.floor((state / 2 ** 32) * below);
      };
      const folder = () => ["", "a/", "a/b/", "c/"][random(4)] ?? "";
      const path = () => `${folder()}${random(12)}.md`;
      const acts = [
        () => put(path(), `v${random(1_000)}`),
        () => put(path(), `v${random(1_000)}`),
        () => put(path(), `v${random(1_000)}`),
        () => rm(at(path()), { force: true }),
        () => rename(at(path()), at(path())),
        () => rename(at("a"), at("c", `${random(9)}`)),
        () => rm(at("c"), { recursive: true, force: true }),
      ];
      const events: SluiceEvent[] = [];
      for (let round = 0; round < 4; round++) {
        const killAfter = 1 + random(25);
        const run = await start({}, { killWhen: ({ length }) => length > killAfter });
        for (let act = 0; act < 150; act++) {
          // Moving what is not there, or into itself, is part of the noise.
          await acts[random(acts.length)]?.().catch(() => {});
          if (random(4) === 0) await sleep(random(25));
        }
        await run.stop();
        events.push(...run.events);
      }
      const last = await started();
      await put("mark.md", "the end");
      await last.until(holds("mark.md", "the end"));
      assert.deepEqual(view([...events, ...last.events]), await onDisk());
    });
});

describe("back-pressure", () => {
  it("means that nothing is read before it is asked for", async () => {
    const run = await started();
    run.pause();
    await put("first.md", "x");
    await run.until(holds("first.md", "x"));
    await put("a.md", "unread");
    await sleep(300); // Time enough to read it, if it did.
    await put("a.md", "read");
    run.resume();
    await run.until(holds("a.md", "read"));
    assert.ok(!JSON.stringify(run.events).includes("unread"));
    assert.ok((await lstat(at("a.md"))).isFile());
  });
});
