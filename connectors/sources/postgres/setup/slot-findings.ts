import type { Finding } from "sluice";
import type { Options } from "../config.ts";
import { advised, failed, fine, warned } from "./findings.ts";
import type { Session } from "../session.ts";
import { judgeSlot, readSlot, type SlotFacts } from "./slot.ts";
import { walBudget } from "./wal-budget.ts";

/** `only` drops its slot by itself; `when-needed` makes up for a lost one. */
const relies: ReadonlySet<string> = new Set<Options["snapshot"]>(["initial", "never"]);

/** What can be said of the slot without knowing the checkpoint. */
export async function slotFindings(
  session: Pick<Session, "query" | "serverVersion">,
  options: Pick<Options, "setup" | "failover" | "snapshot">,
  { name, relied }: { readonly name: string; readonly relied: string | undefined },
): Promise<readonly Finding[]> {
  const isRelied = relied !== undefined && relies.has(options.snapshot);
  if (isRelied && relied !== name) return [renamed(name, relied)];
  const slot = await readSlot(session, name);
  const [[database = ""] = []] = await session.query("SELECT current_database()");
  const server = { system: "", database: database ?? "", flushLsn: 0n };
  const { state, reason = "" } = judgeSlot(slot, undefined, server);
  switch (state) {
    case "missing":
      if (isRelied) return [gone(name)];
      return [missing(name, options, session.serverVersion)];
    case "lost":
      return [lost(name, reason)];
    case "foreign":
      return [
        advised(
          failed("postgres.slot-foreign", `slot "${name}" is not for this source: ${reason}.`),
          "Name another one in `slot`.",
        ),
      ];
    case "busy":
      return [
        fine("postgres.slot", `slot "${name}" is at work: ${reason}.`),
        ...standing(name, slot, options),
      ];
    case "moved":
    case "valid": {
      const kept = (await walBudget(session, name))?.retainedBytes ?? 0;
      return [
        fine("postgres.slot", `slot "${name}" is there and keeps ${mib(kept)} of log.`),
        ...standing(name, slot, options),
      ];
    }
  }
}

function missing(
  name: string,
  { setup, failover }: Pick<Options, "setup" | "failover">,
  serverVersion: number,
): Finding {
  if (setup) return fine("postgres.slot", `slot "${name}" will be created.`);
  const options = failover && serverVersion >= 170_000 ? ", false, false, true" : "";
  return failed(
    "postgres.slot-missing",
    `there is no slot "${name}".`,
    `SELECT pg_create_logical_replication_slot('${name}', 'pgoutput'${options});`,
  );
}

function renamed(name: string, relied: string): Finding {
  return advised(
    failed(
      "postgres.slot-renamed",
      `the source reads by slot "${relied}", and would lose its position with slot "${name}".`,
    ),
    `Set "slot": "${relied}". Or set "onGap": "resnapshot" to have the tables read again through another slot; the old one is dropped then.`,
  );
}

function gone(name: string): Finding {
  return advised(
    failed(
      "postgres.slot-gone",
      `slot "${name}", by which the source reads, is gone, and with it the changes since.`,
    ),
    'Set "onGap": "resnapshot" to have the tables read again at the next start.',
  );
}

function lost(name: string, reason: string): Finding {
  const cause =
    reason === "wal_removed"
      ? "more log was written than max_slot_wal_keep_size keeps; raise that"
      : `the server says ${reason}`;
  return failed(
    "postgres.slot-lost",
    `slot "${name}" is lost, and with it the changes since: ${cause}.`,
    `SELECT pg_drop_replication_slot('${name}');`,
  );
}

function standing(
  name: string,
  slot: SlotFacts | undefined,
  { failover }: Pick<Options, "failover">,
): readonly Finding[] {
  const findings: Finding[] = [];
  if (slot?.walStatus === "unreserved")
    findings.push(
      advised(
        warned(
          "postgres.slot-unreserved",
          `slot "${name}" is lost at the server's next checkpoint.`,
        ),
        "Let the pipeline run now, and raise max_slot_wal_keep_size.",
      ),
    );
  if (failover && slot?.failover === false)
    findings.push(
      warned(
        "postgres.slot-no-failover",
        `slot "${name}" is no failover slot. This is mended on a replication connection only.`,
        `ALTER_REPLICATION_SLOT "${name}" (FAILOVER true);`,
      ),
    );
  return findings;
}

function mib(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`;
}
