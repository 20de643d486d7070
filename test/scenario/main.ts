import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { startRedis } from "../redis-server.ts";
import { startMinistack } from "../s3-servers.ts";
import { forms, nameOf, type Form } from "./forms.ts";
import { perform, type Performance } from "./perform.ts";

const help = `npm run scenario -- [options]

Plays "What is the popular open source event streaming solution?" over the services of examples/genai: an old document
answers, an ingest flips the answer, an edit changes it, a delete flips it back. Over a folder and over S3, fused in one
process and split into seven, on the embedded queue and on Redis: every form must tell the same, and hold the same
vectors bit for bit. It starts a Redis and an S3 of its own.

  --only TEXT   only forms whose name has all its words, e.g. "folder split"
  --json        one line of JSON at the end

Exit 1 when a step is not observed or vectors differ.`;

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(help);
  process.exit(0);
}

const words = values.only.split(/\s+/).filter((word) => word !== "");
const chosen = forms.filter((form) => words.every((word) => nameOf(form).includes(word)));
const needs = (test: (form: Form) => boolean) => chosen.some(test);
const redis = needs(({ queue }) => queue === "redis")
  ? await startRedis(["--maxmemory-policy", "noeviction"])
  : undefined;
const s3 = needs(({ origin }) => origin === "s3") ? await startMinistack() : undefined;

const performances: Performance[] = [];
try {
  for (const [at, form] of chosen.entries()) {
    const performance = await perform(form, { at, redis, s3 });
    performances.push(performance);
    const { steps, problem } = performance;
    if (!values.json) console.log(lines(form, steps, problem));
  }
} finally {
  await redis?.stop();
  await s3?.stop();
}

const problems = [
  ...performances.flatMap(({ form, problem }) => (problem ? [`${nameOf(form)}: ${problem}`] : [])),
  ...differing(performances),
];
const ok = chosen.length > 0 && problems.length === 0;
if (values.json) {
  const told = performances.map(({ form, steps, vectors, problem }) => ({
    ...form,
    steps,
    vectors: vectors.size,
    ...(problem && { problem }),
  }));
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? "?"}, Node ${process.version}`;
  console.log(JSON.stringify({ ok, machine, forms: told, problems }));
} else
  console.log(
    ok ? `Same vectors in all ${chosen.length} forms of each origin.` : problems.join("\n"),
  );
process.exitCode = ok ? 0 : 1;

function lines(form: Form, steps: Performance["steps"], problem: string | undefined): string {
  const told = steps.map(
    ({ step, writeToAnswerMs, answerMs, cites }) =>
      `  ${step.padEnd(28)} ${String(writeToAnswerMs).padStart(6)} ms after the write, asked and answered in ${answerMs} ms, citing ${cites.join(", ")}`,
  );
  return [nameOf(form), ...told, ...(problem ? [`  ✗ ${problem}`] : [])].join("\n");
}

/** Of each origin every form must hold what the first one does: ids and numbers. */
function differing(all: readonly Performance[]): readonly string[] {
  return (["folder", "s3"] as const).flatMap((origin) => {
    const [first, ...others] = all.filter(
      ({ form, problem }) => form.origin === origin && !problem,
    );
    if (!first) return [];
    const wanted = JSON.stringify([...first.vectors]);
    return others
      .filter(({ vectors }) => JSON.stringify([...vectors]) !== wanted)
      .map(({ form }) => `${nameOf(form)}: its vectors are not those of ${nameOf(first.form)}`);
  });
}
