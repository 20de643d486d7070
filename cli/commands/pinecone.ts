import { resolve } from "node:path";
import { InvalidArgumentError, Option, type Command } from "commander";
import { makeFolder } from "../../core/make-folder.ts";
import { isLoopback } from "../../core/own-host.ts";
import { newCommand } from "../command.ts";
import { exit } from "../exit.ts";
import type { Output } from "../output.ts";
import { wholeNumber } from "../whole-number.ts";

/** How long requests in progress may take when it is told to stop. */
const graceMs = 3_000;

interface PineconeOptions {
  readonly host: string;
  readonly port: number;
  readonly data: string;
  readonly apiKey?: string;
  readonly readOnly?: boolean;
  readonly embedding: "local" | "hash";
  readonly memory: number;
}

export function pinecone(output: Output): Command {
  return newCommand(
    "pinecone",
    "Serve a Pinecone-compatible API over a local SQLite file, until it is stopped.",
    ["pinecone", "pinecone --port 5081 --data .sluice/pinecone", "pinecone --embedding hash"],
  )
    .option("--port <port>", "port to listen on; 0 is any free one", wholeNumber(0, 65_535), 5_081)
    .option("--host <host>", "address to listen on", "127.0.0.1")
    .option("--data <dir>", "folder of the data", ".sluice/pinecone")
    .addOption(
      new Option("--api-key <key>", "the only key to let in; without it any key is")
        .env("SLUICE_PINECONE_API_KEY")
        .argParser(toKey),
    )
    .option("--read-only", "answer reads only, from data that is there")
    .addOption(
      new Option("--embedding <model>", "what embeds the texts of records")
        .choices(["local", "hash"])
        .default("local"),
    )
    .option(
      "--memory <mb>",
      "most megabytes of vectors to hold in memory",
      wholeNumber(1, 4_095),
      1_024,
    )
    .action(async (options: PineconeOptions) => {
      const { host, port, apiKey, readOnly = false } = options;
      const dir = resolve(options.data);
      if (!readOnly) makeFolder(dir);
      // Loaded here: no other command needs SQLite's driver.
      const { startLocalPinecone } =
        await import("../../connectors/sinks/pinecone/local/server.ts");
      const server = await startLocalPinecone({
        host,
        port,
        dir,
        readOnly,
        ...(apiKey !== undefined && { apiKey }),
        embedding:
          options.embedding === "hash"
            ? { provider: "hash", dimensions: 384 }
            : { provider: "local" },
        maxMemoryBytes: options.memory * 2 ** 20,
      });
      const warning =
        apiKey === undefined && !isLoopback(host)
          ? `Whoever reaches ${host} may read and change everything: give an --api-key.`
          : undefined;
      const result = { url: server.url, data: dir, ...(warning !== undefined && { warning }) };
      output.result(
        "pinecone",
        result,
        () => `Pinecone-compatible API at ${server.url}\ndata in ${dir}`,
      );
      if (warning !== undefined) output.note(warning);
      await new Promise<void>((done) => {
        process.once("SIGINT", () => done());
        process.once("SIGTERM", () => done());
      });
      await server.close({ graceMs });
      process.exit(exit.done);
    });
}

function toKey(text: string): string {
  if (text.trim() === "")
    throw new InvalidArgumentError("It is empty: write a key, or leave the option out.");
  return text;
}
