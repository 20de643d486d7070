import { resolve } from "node:path";
import { InvalidArgumentError, type Command } from "commander";
import { makeFolder } from "../../core/make-folder.ts";
import { newCommand } from "../command.ts";
import { exit } from "../exit.ts";
import type { Output } from "../output.ts";

interface PineconeOptions {
  readonly host: string;
  readonly port: number;
  readonly data: string;
}

export function pinecone(output: Output): Command {
  return newCommand(
    "pinecone",
    "Serve a Pinecone-compatible API over a local SQLite file, until it is stopped.",
    ["pinecone", "pinecone --port 5081 --data .sluice/pinecone"],
  )
    .option("--port <port>", "port to listen on; 0 is any free one", toPort, 5_081)
    .option("--host <host>", "address to listen on", "127.0.0.1")
    .option("--data <dir>", "folder of the data", ".sluice/pinecone")
    .action(async ({ host, port, data }: PineconeOptions) => {
      const dir = resolve(data);
      makeFolder(dir);
      // Loaded here: no other command needs SQLite's driver.
      const { startLocalPinecone } =
        await import("../../connectors/sinks/pinecone/local/server.ts");
      const server = await startLocalPinecone({ host, port, dir });
      const result = { url: server.url, data: dir };
      output.result(
        "pinecone",
        result,
        () => `Pinecone-compatible API at ${server.url}\ndata in ${dir}`,
      );
      await new Promise<void>((done) => {
        process.once("SIGINT", () => done());
        process.once("SIGTERM", () => done());
      });
      await server.close();
      process.exit(exit.done);
    });
}

function toPort(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new InvalidArgumentError("Write a number from 0 to 65535.");
  return port;
}
