import { join, relative, resolve } from "node:path";
import { Argument, type Command } from "commander";
import { newCommand } from "../command.ts";
import { initKinds, namesOf, type InitKind } from "../init/names.ts";
import { scaffold } from "../init/scaffold.ts";
import type { Output } from "../output.ts";

export function init(output: Output): Command {
  return newCommand(
    "init",
    [
      "Write a connector's package, or a pipeline, into a new folder: it builds, passes its tests and runs as it is.",
      "A source reads an RSS feed, a transform takes e-mail addresses out, a sink keeps files: change them into yours.",
    ].join("\n"),
    [
      "init source rss",
      "init transform redact --dir packages/redact",
      "init sink folder",
      "init pipeline handbook",
    ],
  )
    .addArgument(new Argument("<kind>", "what to begin").choices(initKinds))
    .argument("<name>", "its name: lower-case letters, digits and dashes")
    .option("--dir <dir>", "folder to write (default: the package's name)")
    .action((kind: InitKind, name: string, { dir }: { readonly dir?: string }) => {
      const names = namesOf(kind, name);
      const home = resolve(dir ?? names.packageName);
      const files = scaffold(kind, names, home);
      const next = [
        ...(home === process.cwd() ? [] : [`cd ${relative(process.cwd(), home)}`]),
        "npm install",
        ...(kind === "pipeline" ? [] : ["npm test"]),
        "npm start",
      ];
      const result = { kind, ...names, dir: home, files, next };
      output.result("init", result, () => {
        const { paint } = output;
        const written = files.map((file) => `  ${paint("dim", join(home, file))}`);
        return [
          `${paint("green", "✓")} ${kind} ${paint("bold", names.name)}`,
          ...written,
          "",
          "Next:",
          ...next.map((line) => `  ${line}`),
        ].join("\n");
      });
    });
}
