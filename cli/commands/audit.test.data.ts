import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { startLocalPinecone } from "../../connectors/sinks/pinecone/local/server.ts";
import { runCli, startCli, until, type Cli } from "../run.test.data.ts";

interface Answer {
  readonly code: number | null;
  readonly ok: boolean;
  // oxlint-disable-next-line typescript/no-explicit-any -- what a command answers, looked at by path
  readonly result?: any;
  readonly error?: { readonly code: string; readonly fix?: string };
}

type Call = (path: string, body?: object) => Promise<unknown>;

const words = "river stone lantern harbour copper meadow signal winter thread orchard".split(" ");

/** The text of a note: `count` headings, each with a paragraph of its own. */
export function textOf(name: string, count: number): string {
  return Array.from({ length: count }, (_, n) =>
    [`# ${name} ${n}`, `${name} ${n} ${words.join(" ")} ${words[n % 10]} ${n * 7}`].join("\n\n"),
  ).join("\n\n");
}

/** A folder of notes that a pipeline keeps in a local index, made anew for every test. */
export function auditedFolder() {
  let dir = "";
  let running: Cli | undefined;
  const told = () => running?.stderr() ?? "";
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "sluice-audit-"));
    mkdirSync(join(dir, "notes"));
  });
  afterEach(async () => {
    await stop();
    rmSync(dir, { recursive: true, force: true });
  });

  async function stop(): Promise<void> {
    running?.signal("SIGTERM");
    await running?.ended;
    running = undefined;
  }
  async function cli(...args: readonly string[]): Promise<Answer> {
    const { code, stdout, stderr } = await runCli(dir, [...args, "--json"]);
    if (stdout === "") throw new Error(stderr);
    return { code, ...(JSON.parse(stdout) as Omit<Answer, "code">) };
  }

  return {
    path: (...names: readonly string[]) => join(dir, ...names),
    /** A note of so many paragraphs, or a file as given. */
    write: (name: string, content: number | string | Buffer = 3): void => {
      const written = typeof content === "number" ? textOf(name, content) : content;
      writeFileSync(join(dir, "notes", name), written);
    },
    remove: (name: string) => rmSync(join(dir, "notes", name)),
    configure: (
      over: {
        readonly parse?: object;
        readonly chunk?: object;
        readonly embedding?: object;
        readonly sink?: object;
      } = {},
    ): void => {
      const embedding = { provider: "hash", dimensions: 64, ...over.embedding };
      writeFileSync(
        join(dir, "sluice.json"),
        JSON.stringify({
          project: "audit",
          connectors: [
            {
              name: "folder",
              source: "file",
              to: "notes",
              config: { path: "notes", rescanMs: 1_000 },
            },
            {
              name: "search",
              sink: "pinecone",
              from: "notes",
              transforms: [
                { use: "parse", config: over.parse ?? {} },
                { use: "chunk", config: over.chunk ?? {} },
              ],
              config: { index: "notes", local: "pinecone", embedding, ...over.sink },
            },
          ],
        }),
      );
    },
    start: async (): Promise<void> => {
      running = startCli(dir, ["start", "--json"]);
      await until(
        async () => (await cli("status")).result?.processes?.[0]?.connectors?.length === 2,
        told,
      );
    },
    stop,
    cli,
    until: (isSo: () => Promise<boolean>, seen = told) => until(isSo, seen),
    /** Resolves when the sink has handled what the folder holds. */
    synced: async (documents: number): Promise<void> => {
      await until(async () => {
        const { result } = await cli("verify", "search", "--no-sources", "--sample", "0");
        return result?.documents === documents && result?.unsettled === 0;
      }, told);
    },
    /** Changes the index past the sink. */
    tamper: async (change: (call: Call) => Promise<void>): Promise<void> => {
      const server = await startLocalPinecone({
        host: "127.0.0.1",
        port: 0,
        dir: join(dir, "pinecone"),
      });
      try {
        await change(async (path, body) => {
          const response = await fetch(`${server.url}/i/notes${path}`, {
            method: body ? "POST" : "GET",
            headers: { "api-key": "test" },
            ...(body && { body: JSON.stringify(body) }),
          });
          return response.json();
        });
      } finally {
        await server.close();
      }
    },
  };
}

/** The ids that an index holds. */
export async function listed(call: Call, namespace = ""): Promise<readonly string[]> {
  const { vectors = [] } = (await call(`/vectors/list?namespace=${namespace}`)) as {
    vectors?: { id: string }[];
  };
  return vectors.map(({ id }) => id);
}
