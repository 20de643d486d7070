/** `npm run bench -- NAME [options]`: one line a benchmark, each a module with `main(args)`. */
const benchmarks: Readonly<
  Record<string, () => Promise<{ main: (args: readonly string[]) => Promise<number> }>>
> = {
  fanout: () => import("./fanout.ts"),
  failover: () => import("./failover.ts"),
  queue: () => import("./queue.ts"),
  postgres: () => import("./postgres.ts"),
  mongodb: () => import("./mongodb.ts"),
  pinecone: () => import("./pinecone.ts"),
  s3: () => import("./s3.ts"),
  sync: () => import("./sync.ts"),
  scale: () => import("./scale.ts"),
  files: () => import("./files.ts"),
  recall: () => import("./recall.ts"),
};

const [name = "", ...args] = process.argv.slice(2);
const load = benchmarks[name];
if (load) {
  const { main } = await load();
  process.exitCode = await main(args);
} else {
  process.stderr.write(
    `bench: there is no benchmark "${name}". Choose one of: ${Object.keys(benchmarks).join(", ")}.\n`,
  );
  process.exitCode = 2;
}
