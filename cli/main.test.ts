import { execFile } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { makeFolder, pipeline, runCli, startCli, until, type Cli } from "./run.test.data.ts";

const onPipelines = [
  "start",
  "validate",
  "check",
  "status",
  "snapshot",
  "subscriptions",
  "remove",
  "search",
];
const commands = [...onPipelines, "connectors", "schema", "pinecone", "init", "demo"];

let folder: ReturnType<typeof makeFolder>;
const write = (name: string, content: string) => writeFileSync(join(folder.dir, name), content);
const run = (args: readonly string[], env?: Readonly<Record<string, string>>) =>
  runCli(folder.dir, args, env);
beforeEach(() => {
  folder = makeFolder();
  write("sluice.json", pipeline());
});
afterEach(() => folder.remove());

describe("help", () => {
  it("lists every command and the exit codes", async () => {
    const { code, stdout } = await run(["--help"]);
    expect(code).toBe(0);
    for (const name of commands) expect(stdout).toMatch(new RegExp(`^  ${name} `, "m"));
    expect(stdout).toContain("Exit codes: 0 done");
    expect((await run(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  for (const name of commands)
    it(`${name} has options and examples`, async () => {
      const { code, stdout, stderr } = await run([name, "--help"]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toContain("--json");
      expect(stdout).toMatch(new RegExp(`Examples:\n  \\$ sluice ${name}`));
    });
});

it("start says what its --json does", async () => {
  const { stdout } = await run(["start", "--help"]);
  expect(stdout.replaceAll(/\s+/g, " ")).toContain(
    "--json JSON logs on stderr, on a terminal too;",
  );
});

describe("a wrong command line exits with 2 and says what to write", () => {
  const cases: [args: string[], message: string, fix: string][] = [
    [["strat"], "unknown command 'strat'", "Write start."],
    [["validate", "--jsn"], "unknown option '--jsn'", "Write --json."],
    [["search", "out"], "missing required argument 'text'", "See: sluice search --help"],
    [["search", "out", "x", "--top", "0"], "Write a whole number", "See: sluice search --help"],
    [["search", "uot", "x"], 'no sink "uot"', "Write out."],
    [["search", "out", " "], "Give a text", "See: sluice search --help"],
    [
      ["search", "out", "x", "--filter", '{"bad":1}'],
      "no such filter",
      'Correct --filter {"bad":1}',
    ],
    [["search", "out", "hopeless"], "too long", "Ask with another text."],
    [["start", "--admin", "here"], "Write HOST:PORT", "See: sluice start --help"],
    [["demo", "--dir", ""], "Name a folder", "See: sluice demo --help"],
    [["demo", "--dir", "."], "is no folder of the demo", "--dir DIR"],
    [["pinecone", "--port", "70000"], "from 0 to 65535", "See: sluice pinecone --help"],
    [["pinecone", "--api-key", ""], "It is empty", "See: sluice pinecone --help"],
    [["connectors", "pincone"], 'connector "pincone"', "Write pinecone."],
    [["validate", "no.json"], "cannot be read (ENOENT)", "Correct the path"],
    [["validate", "--env", "no.env"], '"no.env" cannot be read', "--env"],
    [["validate", "--queue", "kafka://x"], '--queue is "kafka://x"', "redis://HOST:PORT"],
  ];
  for (const [args, message, fix] of cases)
    it(args.join(" "), async () => {
      const human = await run(args);
      expect(human).toMatchObject({ code: 2, stdout: "" });
      expect(human.stderr).toContain(message);
      expect(human.stderr).toContain(fix);
      const json = await run([...args, "--json"]);
      expect(json.code).toBe(2);
      const answer: unknown = JSON.parse(json.stdout);
      expect(answer).toMatchObject({
        command: commands.includes(args[0] ?? "") ? args[0] : "sluice",
        ok: false,
        error: { code: expect.stringMatching(/^(cli|config)\./), message: expect.any(String) },
      });
    });

  it("no file at all", async () => {
    const empty = makeFolder();
    const { code, stderr } = await runCli(empty.dir, ["validate"]);
    empty.remove();
    expect(code).toBe(2);
    expect(stderr).toContain("cli.no-file");
  });
});

describe("what the system refuses exits with 3, with owner, what and fix", () => {
  const cases: [args: string[], message: string, code: string][] = [
    [["demo", "--dir", "ticks.mjs"], "ticks.mjs cannot be used: file already exists", "cli.file"],
    [["demo", "--dir", "ticks.mjs/x"], "ticks.mjs/x cannot be used: not a directory", "cli.file"],
    [["demo", "--dir", "/proc/x/y"], "/proc/x cannot be used: no such file", "cli.file"],
    [["pinecone", "--data", "ticks.mjs/x"], "ticks.mjs/x cannot be used", "cli.file"],
    [["pinecone", "--data", "/proc/x"], "/proc/x cannot be used", "cli.file"],
  ];
  for (const [args, message, code] of cases)
    it(args.join(" "), async () => {
      const human = await run(args);
      expect(human).toMatchObject({ code: 3, stdout: "" });
      expect(human.stderr).toContain(message);
      expect(human.stderr).toContain("→ ");
      expect(human.stderr).not.toMatch(/^ +at /m);
      const json = await run([...args, "--json"]);
      expect(json).toMatchObject({ code: 3, stderr: "" });
      expect(JSON.parse(json.stdout)).toMatchObject({
        command: args[0],
        ok: false,
        error: { code },
      });
    });

  it("pinecone --host of another machine", async () => {
    // TEST-NET-1: no machine has it.
    const { code, stderr } = await run(["pinecone", "--host", "192.0.2.1", "--port", "0"]);
    expect(code).toBe(3);
    expect(stderr).toContain("192.0.2.1");
    expect(stderr).toContain("→ ");
    expect(stderr).not.toMatch(/^ +at /m);
  });
});

describe("validate", () => {
  it("shows what was understood, without secrets", async () => {
    const human = await run(["validate", "sluice.json"]);
    expect(human.code).toBe(0);
    expect(human.stdout).toMatch(/^✓ valid: 2 connectors of project ticking, queue embedded:/);
    expect(human.stdout).toContain("ticks → lines");
    const { stdout } = await run(["validate", "--json"]);
    expect(stdout).not.toContain("hush");
    expect(JSON.parse(stdout)).toMatchObject({
      command: "validate",
      ok: true,
      result: {
        project: "ticking",
        connectors: [
          { name: "ticks", type: "ticks", config: { count: 20, token: "***" } },
          { name: "out", type: "lines", config: { path: join(folder.dir, "out.txt") } },
        ],
      },
    });
  });

  it("shows every problem in a block of its own", async () => {
    write("bad.json", pipeline({ ticks: { count: "many", tokn: 1 } }));
    const { code, stdout, stderr } = await run(["validate", "bad.json"]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toBe(`✗ config.wrong-type   bad.json: connectors[0].config.count
    ticks: count is "many"; it must be a number.
    → Write a number.

✗ config.unknown-key   bad.json: connectors[0].config.tokn
    ticks: "tokn" is no key here.
    → Rename it to "token".

2 problems
`);
  });

  it("accepts the examples", async () => {
    const examples = new URL("../../examples/", import.meta.url);
    for (const name of readdirSync(examples)) {
      if (name.endsWith(".mjs")) continue; // what the examples are played with
      // What joins others knows nothing of them, but is whole only with them.
      const folders = name === "feedback" ? ["genai", name] : [name];
      const files = folders.flatMap((one) => configsIn(fileURLToPath(new URL(one, examples))));
      const { code, stderr } = await run(["validate", ...files], {
        DATABASE_URL: "postgres://localhost/shop",
        MONGODB_URL: "mongodb://localhost/?replicaSet=rs",
        BUCKET: "any",
        QUEUE_URL: "http://localhost:1",
        S3_ACCESS_KEY_ID: "any",
        S3_ENDPOINT: "http://localhost:1",
        S3_SECRET_ACCESS_KEY: "any",
      });
      expect({ name, code, stderr }).toEqual({ name, code: 0, stderr: "" });
    }
  });

  it("takes variables from a file, those of the process first", async () => {
    write(".env", "COUNT=5\nTOKEN=from-the-file\n");
    write("sluice.json", pipeline({ ticks: { token: "${COUNT}-${TOKEN}" } }));
    expect((await run(["validate"])).code).toBe(2);
    expect((await run(["validate", "--env", ".env"])).code).toBe(0);
  });

  it("warns of what may be meant and still succeeds", async () => {
    write("sink.json", JSON.stringify({ name: "out", sink: "log", from: "elsewhere" }));
    const { code, stderr } = await run(["validate", "sink.json"]);
    expect(code).toBe(0);
    expect(stderr).toContain("! config.no-producer   sink.json: from");
  });
});

describe("connectors and schema", () => {
  it("list what is built in, and the options of one", async () => {
    expect((await run(["connectors"])).stdout).toMatch(/^sink +pinecone/m);
    const { stdout } = await run(["connectors", "pinecone"]);
    expect(stdout).toMatch(/^ {2}index {2}string {2}required$/m);
    const json: unknown = JSON.parse((await run(["connectors", "pinecone", "--json"])).stdout);
    expect(json).toMatchObject({
      result: [
        {
          kind: "sink",
          options: expect.arrayContaining([
            expect.objectContaining({ name: "apiKey", secret: true }),
          ]),
        },
      ],
    });
  });

  it("print the schema as it is, or wrapped", async () => {
    const plain = JSON.parse((await run(["schema"])).stdout) as { $defs: object };
    expect(Object.keys(plain.$defs)).toContain("sink.pinecone");
    const { stdout } = await run(["schema", "--json"]);
    expect(JSON.parse(stdout)).toEqual({ command: "schema", ok: true, result: plain });
  });

  it("tell all of it, however slowly it is read", async () => {
    const main = fileURLToPath(new URL("./main.js", import.meta.url));
    // A pipe of the shell holds 64 KB.
    const line = `"${process.execPath}" "${main}" schema | (sleep 3; cat)`;
    const { stdout: text } = await promisify(execFile)("sh", ["-c", line], { maxBuffer: 2 ** 22 });
    expect(text.length).toBeGreaterThan(2 ** 17);
    expect(JSON.parse(text)).toHaveProperty("$defs");
  });
});

describe("search", () => {
  it("asks the sink's reader and shows passages", async () => {
    const { code, stdout } = await run(["search", "out", "hello", "--top", "3"]);
    expect(code).toBe(0);
    expect(stdout).toBe("1. one 0.500\n   hello 3 undefined\n");
  });

  it("passes a filter on, and answers in JSON", async () => {
    const args = [
      "search",
      "out",
      "hello",
      "--config",
      "sluice.json",
      "--filter",
      '{"a":1}',
      "--json",
    ];
    expect(JSON.parse((await run(args)).stdout)).toEqual({
      command: "search",
      ok: true,
      result: {
        matches: [
          { id: "1#a", score: 0.5, metadata: { text: 'hello 5 {"a":1}', _subject: "one" } },
        ],
        lsn: "5",
      },
    });
  });
});

describe("start", () => {
  const written = () => {
    try {
      return readFileSync(join(folder.dir, "out.txt"), "utf8").split("\n").length - 1;
    } catch {
      return 0; // not there yet
    }
  };
  let cli: Cli;
  const start = (...args: string[]) => (cli = startCli(folder.dir, ["start", ...args]));
  const lines = (log: string) =>
    log
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { readonly msg: string; readonly admin?: string });

  it("runs until the first signal, logs JSON without secrets, and stops with 0", async () => {
    start("--json");
    await until(() => written() === 20, cli.stderr);
    const status = JSON.parse((await run(["status", "--json"])).stdout) as unknown;
    expect(status).toMatchObject({
      command: "status",
      ok: true,
      result: {
        project: "ticking",
        processes: [{ connectors: [{ name: "ticks", events: 20 }, { name: "out" }] }],
      },
    });
    expect((await run(["status"])).stdout).toMatch(
      /^ {2}ticks {2}source ticks {2}running {2}20 events/m,
    );
    cli.signal("SIGTERM");
    const { code, stdout, stderr } = await cli.ended;
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    expect(stderr).not.toContain("hush");
    expect(lines(stderr).map(({ msg }) => msg)).toEqual(
      expect.arrayContaining(["pipeline started", "using ***", "stopping", "stopped"]),
    );
  });

  it("leaves stdout to a sink that writes there", async () => {
    const { connectors, ...rest } = JSON.parse(pipeline()) as { connectors: object[] };
    const print = { name: "print", sink: "log", from: "ticks" };
    write("sluice.json", JSON.stringify({ ...rest, connectors: [...connectors, print] }));
    start();
    await until(() => cli.stdout().split("\n").length > 20, cli.stderr);
    cli.signal("SIGINT");
    const { stdout } = await cli.ended;
    const events = stdout.trim().split("\n");
    expect(events.map((line) => (JSON.parse(line) as { source: string }).source)).toEqual(
      Array.from({ length: 20 }, () => "/ticks"),
    );
  });

  it("does not say that no process runs when one does not answer", async () => {
    start("--json");
    await until(() => written() === 20, cli.stderr);
    cli.signal("SIGKILL");
    await cli.ended;
    const { stdout } = await run(["status"]);
    expect(stdout).toContain("does not answer at http://127.0.0.1:");
    expect(stdout).toContain("ticking · no process answers");
    expect(stdout).not.toContain("no process runs");
  });

  it("says so when no process runs", async () => {
    expect((await run(["status"])).stdout).toContain("ticking · no process runs");
  });

  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)
    it(`a second ${signal} stops at once with ${code}, after telling who is waited for`, async () => {
      write("sluice.json", pipeline({ lines: { stuck: true } }));
      start();
      await until(() => written() > 0, cli.stderr);
      cli.signal(signal);
      await until(() => cli.stderr().includes('"waitingFor":["out"]'), cli.stderr);
      const before = Date.now();
      cli.signal(signal);
      expect((await cli.ended).code).toBe(code);
      expect(Date.now() - before).toBeLessThan(2_000);
    });

  it("stops within its 10 s although a sink is stuck", async () => {
    write("sluice.json", pipeline({ lines: { stuck: true } }));
    start();
    await until(() => written() > 0, cli.stderr);
    const before = Date.now();
    cli.signal("SIGINT");
    expect((await cli.ended).code).toBe(0);
    expect(Date.now() - before).toBeLessThan(12_000);
  });

  it("stops with 2 when a connector says that its config is wrong, with --fail-fast", async () => {
    write("sluice.json", pipeline({ lines: { wrong: true } }));
    const { code, stderr } = await start("--fail-fast").ended;
    expect(code).toBe(2);
    expect(stderr).toContain("lines.wrong");
  });

  describe("a port in use exits with 3", () => {
    const server = createServer();
    let address = "";
    beforeAll(async () => {
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const { port } = server.address() as AddressInfo; // a TCP server has one
      address = `127.0.0.1:${port}`;
    });
    afterAll(() => void server.close());

    it("of the admin API", async () => {
      const { code, stderr } = await run(["start", "--admin", address]);
      expect(stderr).toContain("admin.port-in-use");
      expect(code).toBe(3);
    });

    it("of the local Pinecone", async () => {
      const [, port = ""] = address.split(":");
      const { code, stdout } = await run(["pinecone", "--port", port, "--json"]);
      expect(JSON.parse(stdout)).toMatchObject({ command: "pinecone", ok: false });
      expect(code).toBe(3);
    });
  });
});

it("a queue that cannot be reached exits with 3", async () => {
  // Nothing listens on port 1.
  const { code, stdout } = await run([
    "status",
    "--queue",
    "redis://:pass-word@127.0.0.1:1",
    "--json",
  ]);
  expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { code: "redis.unreachable" } });
  expect(stdout).not.toContain("pass-word");
  expect(code).toBe(3);
});

it("pinecone serves until it is stopped", async () => {
  const cli = startCli(folder.dir, ["pinecone", "--port", "0", "--json"]);
  await until(() => cli.stdout().endsWith("\n"), cli.stdout);
  const answer = JSON.parse(cli.stdout()) as { result: { url: string; data: string } };
  expect(answer.result.data).toBe(join(folder.dir, ".sluice/pinecone"));
  const response = await fetch(`${answer.result.url}/indexes`, { headers: { "api-key": "x" } });
  expect(response.status).toBe(200);
  cli.signal("SIGINT");
  expect((await cli.ended).code).toBe(0);
});

function configsIn(folder: string): readonly string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(".json"))
    .map((file) => join(folder, file))
    .filter((file) => readFileSync(file, "utf8").includes('"connectors"'));
}
