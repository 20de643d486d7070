import { SluiceError, type Context, type Finding } from "sluice";
import type { Options } from "./config.ts";
import { failed, fine, warned } from "./findings.ts";
import { quoted } from "./identifier.ts";
import { namesOf } from "./names.ts";
import { mark, readPublications } from "./publication-facts.ts";
import { openSession, type Session } from "./session.ts";
import { dropSlot, readSlot } from "./slot.ts";

/**
 * Takes away the slot and the publications that setup made. With `setup: false` nothing is touched,
 * and the answer says what to run. A publication that setup did not make stays.
 */
export async function remove(
  context: Pick<Context<Options>, "name" | "config" | "signal">,
): Promise<readonly Finding[]> {
  const { name, config: options, signal } = context;
  const names = namesOf(options, name);
  const session = await openSession(options, { name, signal });
  try {
    const ofSlot = options.setup
      ? await removeSlot(session, names.slot)
      : await keptSlot(session, names.slot);
    const { main, inserts } = await readPublications(session, names);
    const findings = [ofSlot];
    for (const facts of [main, inserts])
      if (facts) {
        const drop = `DROP PUBLICATION ${quoted(facts.name)};`;
        if (options.setup && facts.comment === mark(name)) {
          await session.query(drop);
          findings.push(fine("postgres.removed", `publication ${quoted(facts.name)} is dropped.`));
        } else
          findings.push(
            warned(
              "postgres.kept",
              `publication ${quoted(facts.name)} was not made by this connector and stays.`,
              drop,
            ),
          );
      }
    return findings;
  } finally {
    await session.close();
  }
}

async function removeSlot(session: Session, slot: string): Promise<Finding> {
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
        `slot "${slot}" stays and keeps the log, for \`setup\` is false.`,
        drop(slot),
      )
    : fine("postgres.removed", `slot "${slot}" is not there.`);
}

function drop(slot: string): string {
  return `SELECT pg_drop_replication_slot('${slot}');`;
}
