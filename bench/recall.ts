import { parseArgs } from "node:util";
import { answered, files, kinds, unanswered } from "../test/recall/corpus.ts";
import { openCorpus, recallOf, type Recall } from "../test/recall/measure.ts";
import { sayer } from "./parts/say.ts";

const usage = `bench recall: are the right passages found and cited? No figure of speed: load does not matter.

The whole path as it comes by default: files are parsed, chunked and embedded by the local MiniLM, kept by the
Pinecone-compatible server, retrieved and quoted by \`extract\`. 100 questions that one passage each answers, by how they
relate to it, and 30 that none answers, where the right answer is "Not in the data."

  --misses        also the questions whose passage is not first, or is not cited
  --json          one JSON line each
`;

export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      misses: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const say = sayer(values.json);
  const corpus = await openCorpus(files);
  try {
    say("corpus", { files: files.size, chunks: corpus.chunks });
    const found = await corpus.find(answered);
    for (const kind of kinds)
      say(kind, rounded(recallOf(found.filter((one) => one.kind === kind))));
    say("all", rounded(recallOf(found)));
    const answers = await corpus.ask(unanswered);
    const wrong = answers.filter(({ data }) => data.isAnswered);
    say("not in the data", {
      questions: answers.length,
      saidSo: Number((1 - wrong.length / answers.length).toFixed(3)),
    });
    if (values.misses) {
      for (const { question, place, answer } of found)
        if (place !== 1 || answer.data.citations.length === 0)
          say("miss", { question, place, answer: answer.data.text });
      for (const { data } of wrong) say("miss", { question: data.asked, answer: data.text });
    }
  } finally {
    await corpus.close();
  }
  return 0;
}

function rounded(recall: Recall): Readonly<Record<string, number>> {
  const entries = Object.entries(recall).filter(([, value]) => !Number.isNaN(value));
  return Object.fromEntries(
    entries.map(([name, value]: [string, number]) => [name, Number(value.toFixed(3))]),
  );
}
