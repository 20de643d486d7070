import { mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
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
// As a disk that is unmounted, and mounted again.
const outage = {
  begin: () => rename(path, `${path}.away`),
  end: () => rename(`${path}.away`, path),
};
const module = new URL("./my-sink.js", import.meta.url);
const given = { sink: mySink, config: { path }, read, module, outage };
for (const { name, run } of sinkConformance(given)) test(name, run);
