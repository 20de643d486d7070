// Plays the life of some objects: an S3 and an SQS of its own (ministack), the pipeline of sluice.json beside them, and
// after each change how long it takes until a search shows it. Needs Python 3.10 besides.
import { execFileSync } from "node:child_process";
import { cp, mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { makeBucket } from "../../dist/connectors/sources/s3/harness.js";
import { makeQueue } from "../../dist/connectors/sources/s3/notifications/harness.js";
import { startMinistack } from "../../dist/test/s3-servers.js";
import { observe, play } from "../play.mjs";

// A notice about later releases of the SDK, in the middle of what this prints.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const has = (matches, key) => matches.some(({ metadata }) => metadata._subject === key);
const says = (matches, words) => matches.some(({ metadata }) => metadata.text.includes(words));
const row = (id) => JSON.stringify(["fund/tenants-fund.csv", id]);

await play(async ({ signal, opens }) => {
  execFileSync(process.execPath, [here("../../scripts/setup-ministack.mjs")], { stdio: "inherit" });
  const folder = await mkdtemp(join(tmpdir(), "sluice-example-"));
  opens(() => rm(folder, { recursive: true, force: true }));
  const config = join(folder, "sluice.json");
  await cp(here("sluice.json"), config);

  const server = await startMinistack();
  opens(server.stop);
  const bucket = await makeBucket(server);
  const queue = await makeQueue(server, bucket);
  const folderOf = (name) => (name.endsWith(".csv") ? `fund/${name}` : name);
  for (const name of await readdir(here("objects")))
    await bucket.put(folderOf(name), await readFile(join(here("objects"), name)));
  console.log("A bucket holds a Markdown, an HTML and a CSV file. Starting the pipeline:\n");

  const fund = await readFile(here("objects/tenants-fund.csv"), "utf8");
  const rules = await readFile(here("objects/house-rules.md"), "utf8");
  const env = {
    ...process.env,
    BUCKET: bucket.name,
    S3_ENDPOINT: server.endpoint,
    S3_ACCESS_KEY_ID: server.accessKeyId,
    S3_SECRET_ACCESS_KEY: server.secretAccessKey,
    QUEUE_URL: queue.url,
  };
  const steps = [
    {
      name: "snapshot: all objects are in the index",
      question: "only the top of my radiator is cold",
      shows: (matches) =>
        matches[0]?.metadata._subject === "heating.html" &&
        has(matches, "house-rules.md") &&
        has(matches, row("2025-04")),
    },
    {
      name: "replaced: the new text is found, the old is not",
      act: () => bucket.put("house-rules.md", rules.replace("half a year", "three months")),
      question: "what happens to a bicycle nobody uses?",
      shows: (matches) => says(matches, "three months") && !says(matches, "half a year"),
    },
    {
      name: "a row more, a row less in the table",
      act: () =>
        bucket.put(
          "fund/tenants-fund.csv",
          fund.replace(/^2025-02.*\n/m, "") +
            '2025-05,Pump,"A pump for the flooded cellar, 95 euros."\n',
        ),
      question: "what did we buy when the cellar was under water?",
      shows: (matches) => has(matches, row("2025-05")) && !has(matches, row("2025-02")),
    },
    {
      name: "a key with a space and a plus",
      act: () =>
        bucket.put("notes/roof + gutter.txt", "The gutter is cleaned in November by a roofer."),
      question: "who cleans the gutter?",
      shows: (matches) => matches[0]?.metadata._subject === "notes/roof + gutter.txt",
    },
    {
      name: "deleted: gone, with all its rows",
      act: () => bucket.remove("fund/tenants-fund.csv"),
      question: "what did the bench cost?",
      shows: (matches) => !matches.some(({ metadata }) => metadata._subject.includes("fund")),
    },
  ];
  await observe(config, env, steps, { signal, opens });
});
