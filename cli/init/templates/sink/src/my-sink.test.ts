import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { sinkConformance } from "sluice/testing";
import { mySink } from "./my-sink.ts";

const path = await mkdtemp(join(tmpdir(), "my-sink-"));
after(() => rm(path, { recursive: true }));

const read = async () => {
  const names = await readdir(path);
  return Promise.all(names.map((name) => readFile(join(path, name), "utf8")));
};
const module = new URL("./my-sink.js", import.meta.url);
for (const { name, run } of sinkConformance({ sink: mySink, config: { path }, read, module }))
  test(name, run);
