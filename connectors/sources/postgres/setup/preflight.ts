import { SluiceError, type Context, type Finding, type StateStore } from "sluice";
import type { Options } from "../config.ts";
import { advised, failed, isError } from "./findings.ts";
import { namesOf, type Names } from "./names.ts";
import { comparePublication } from "./publication.ts";
import { serverFindings } from "./server.ts";
import { openSession, type Session } from "../session.ts";
import { slotFindings } from "./slot-findings.ts";
import { readOrigin, readSlot } from "./slot.ts";
import { capturedTables } from "./tables.ts";
import { openReplication } from "../wire/replication.ts";

type Run = { readonly name: string; readonly signal: AbortSignal };

/** Everything that stands between the source and its tables, at once, with the SQL that mends it. */
export async function check(
  context: Pick<Context<Options>, "name" | "project" | "config" | "state" | "signal">,
): Promise<readonly Finding[]> {
  const { name, config: options, state, signal } = context;
  const run = { name, signal };
  try {
    const session = await openSession(options, run);
    try {
      return await findings(session, options, namesOf(options, context), state, run);
    } finally {
      await session.close();
    }
  } catch (error) {
    return [toFinding(error)];
  }
}

async function findings(
  session: Session,
  options: Options,
  names: Names,
  state: StateStore,
  run: Run,
): Promise<readonly Finding[]> {
  const ofServer = await serverFindings(session, options, names.slot);
  if (ofServer.some(({ code }) => code === "postgres.too-old" || code === "postgres.standby"))
    return ofServer;
  const { tables, findings: ofTables } = await capturedTables(session, options);
  const compared = await comparePublication(session, options, names, tables);
  const ofPooler = await poolerFindings(session, options, run);
  const others = [...ofServer, ...ofPooler, ...ofTables, ...compared.findings];
  const ofStream = await replicationFindings(session, options, names, run, others.filter(isError));
  const relied = await reliedSlot(state);
  return [
    ...others,
    ...ofStream,
    ...(await slotFindings(session, options, { name: names.slot, relied })),
  ];
}

/** The slot that the source made, if it has read tables completely since: were it gone, changes would be. */
async function reliedSlot(state: StateStore): Promise<string | undefined> {
  const [made, epoch] = await state.get(["slot", "epoch"]);
  if (typeof made?.value !== "string" || epoch === undefined) return undefined;
  for await (const copied of state.scan("copied/")) if (copied.length > 0) return made.value;
  return undefined;
}

/** Each of these alone refuses the connection, and is told with its remedy. */
const refusing: ReadonlySet<string> = new Set([
  "postgres.no-replication",
  "postgres.no-free-sender",
  "postgres.pooler",
]);

/** Replicates for a moment, which shows more than any catalog: pg_hba.conf, proxies, a service's own rules. */
async function replicationFindings(
  session: Session,
  options: Options,
  names: Names,
  run: Run,
  told: readonly Finding[],
): Promise<readonly Finding[]> {
  if (told.some(({ code }) => refusing.has(code))) return [];
  // While the source itself streams, there need not be a second sender.
  if ((await readSlot(session, names.slot))?.activePid != null) return [];
  try {
    const replication = await openReplication(options, run);
    try {
      await readOrigin(replication);
      return [];
    } finally {
      await replication.close();
    }
  } catch (error) {
    return [toFinding(error)];
  }
}

/**
 * A transaction pooler lends one server process to several clients. Its own process number alone
 * proves nothing, for some services put a proxy with numbers of its own before every connection.
 */
async function poolerFindings(
  session: Session,
  options: Options,
  run: Run,
): Promise<readonly Finding[]> {
  if ((await backend(session)) === session.pid) return [];
  const second = await openSession(options, run);
  try {
    const first = await backend(session);
    await second.query("BEGIN");
    const borrowed = await backend(second);
    const isShared = borrowed === first || (await backend(session)) !== first;
    await second.query("ROLLBACK");
    if (!isShared) return [];
  } finally {
    await second.close();
  }
  return [
    advised(
      failed(
        "postgres.pooler",
        "the connection goes through a transaction pooler, which cannot replicate.",
      ),
      "Name in `url` the server itself: its own host or port, not the pooler's.",
    ),
  ];
}

async function backend(session: Session): Promise<number> {
  const [[pid] = []] = await session.query("SELECT pg_backend_pid()");
  return Number(pid);
}

function toFinding(error: unknown): Finding {
  if (!(error instanceof SluiceError)) throw error;
  const { code, message, fix } = error;
  return { severity: "error", code, message, ...(fix !== undefined && { fix }) };
}
