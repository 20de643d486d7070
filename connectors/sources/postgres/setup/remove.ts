import { SluiceError, type Context, type Finding } from "sluice";
import type { Options } from "../config.ts";
import { failed, fine, warned } from "./findings.ts";
import { quoted } from "./identifier.ts";
import { namesOf } from "./names.ts";
import { mark, readPublications, type PublicationFacts } from "./publication-facts.ts";
import { openSession, type Session } from "../session.ts";
import { dropSlot, readSlot } from "./slot.ts";

/**
 * Takes away the slot and the publications that setup made. With `setup: false` nothing is touched,
 * and the answer says what to run. A publication that setup did not make stays.
 */
export async function remove(
  context: Pick<Context<Options>, "name" | "project" | "config" | "state" | "signal">,
): Promise<readonly Finding[]> {
  const { name, config: options, signal } = context;
  const names = namesOf(options, context);
  const session = await openSession(options, { name, signal });
  try {
    const { main, inserts } = await readPublications(session, names);
    const [noted] = await context.state.get(["slot"]);
    const isOurs = [main, inserts].some((facts) => facts?.comment === mark(names.owner));
    const isMade = options.setup && (noted?.value === names.slot || isOurs);
    const ofSlot = isMade
      ? await removeSlot(session, names.slot)
      : await keptSlot(session, names.slot);
    // Whoever still streams needs its publication too.
    if (ofSlot.severity === "error") return [ofSlot];
    const findings = [ofSlot];
    const former = noted?.value;
    // By the name that the config had before.
    if (options.setup && typeof former === "string" && former !== names.slot)
      findings.push(await removeSlot(session, former));
    for (const facts of [main, inserts])
      if (facts) findings.push(await removePublication(session, options, names.owner, facts));
    return findings;
  } finally {
    await session.close();
  }
}

async function removePublication(
  session: Session,
  { setup }: Pick<Options, "setup">,
  owner: string,
  { name, comment, isOwned }: PublicationFacts,
): Promise<Finding> {
  const publication = `publication ${quoted(name)}`;
  const statement = `DROP PUBLICATION ${quoted(name)};`;
  if (!setup || comment !== mark(owner))
    return warned(
      "postgres.kept",
      `${publication} was not made by this connector and stays.`,
      statement,
    );
  if (!isOwned)
    return failed(
      "postgres.kept",
      `${publication} stays, for this role does not own it.`,
      statement,
    );
  await session.query(statement);
  return fine("postgres.removed", `${publication} is dropped.`);
}

async function removeSlot(session: Session, slot: string): Promise<Finding> {
  const found = await readSlot(session, slot);
  const [[database] = []] = await session.query("SELECT current_database()");
  if (found && (found.plugin !== "pgoutput" || found.database !== database))
    return warned("postgres.kept", `slot "${slot}" is not for this source and stays.`);
  try {
    const isDropped = await dropSlot(session, slot);
    return fine("postgres.removed", `slot "${slot}" is ${isDropped ? "dropped" : "not there"}.`);
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== "postgres.slot-busy") throw error;
    return failed(error.code, error.message.replace(/^postgres: /, ""), drop(slot));
  }
}

/** A slot that nobody reads from keeps the log for ever. */
async function keptSlot(session: Session, slot: string): Promise<Finding> {
  return (await readSlot(session, slot))
    ? warned(
        "postgres.kept",
        `slot "${slot}" stays and keeps the log, for this source did not make it.`,
        drop(slot),
      )
    : fine("postgres.removed", `slot "${slot}" is not there.`);
}

function drop(slot: string): string {
  return `SELECT pg_drop_replication_slot('${slot}');`;
}
