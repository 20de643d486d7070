// Commands run as a person at a terminal would, for scripts/smoke.mjs.
import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

// A busy machine may be given longer.
const limitSeconds = Number(process.env.SMOKE_SECONDS ?? 175);
const over = AbortSignal.timeout(limitSeconds * 1_000);
over.addEventListener("abort", () => console.error(`smoke: not done within ${limitSeconds} s.`));

/** What a command prints on standard output; when it fails, all that it said is in the error. */
export async function run(cwd, command, ...args) {
  const child = start(cwd, command, ...args);
  const code = await child.ended;
  if (code === 0) return child.told();
  throw new Error(`${cwd}: ${command} ${args.join(" ")} ended with ${code}.\n${child.said()}`);
}

/** `npm start`, for as long as `use` takes; then Ctrl-C, which must end it well. */
export async function running(home, use) {
  const child = start(home, "npm", "start");
  const until = async (holds, what) => {
    while (!(await holds(child.said()))) {
      if (over.aborted || child.exitCode !== null)
        throw new Error(`${home}: waited for ${what}; npm start said:\n${child.said()}`);
      await sleep(200);
    }
  };
  try {
    await use(until);
    stop(child, "SIGINT");
    const ended = await Promise.race([child.ended, sleep(15_000, "late", { ref: false })]);
    if (ended === "late") throw new Error(`${home}: npm start does not end on Ctrl-C.`);
  } finally {
    stop(child, "SIGKILL");
  }
}

export async function replace(file, from, to) {
  const text = await readFile(file, "utf8");
  if (!text.includes(from)) throw new Error(`${file} does not hold ${JSON.stringify(from)}.`);
  await writeFile(file, text.replace(from, to));
}

/** Starts a command as the head of a process group, so that what it starts ends with it. */
function start(cwd, command, ...args) {
  // What an npm or a test runner around this sets is not for those inside.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_|^NODE_TEST_CONTEXT$/.test(name)),
  );
  const stdio = ["ignore", "pipe", "pipe"];
  const child = spawn(command, args, { cwd, env, detached: true, stdio });
  let [told, said] = ["", ""];
  child.stdout.on("data", (data) => (told += data));
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (said += data));
  const end = () => stop(child, "SIGKILL");
  over.addEventListener("abort", end);
  const ended = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      over.removeEventListener("abort", end);
      resolve(code);
    });
  });
  return Object.assign(child, { ended, told: () => told, said: () => said });
}

function stop(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (error.code !== "ESRCH") throw error; // it ended by itself
  }
}
