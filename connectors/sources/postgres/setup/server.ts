import { z, type Finding } from "sluice";
import type { Options } from "../config.ts";
import { advised, failed, fine, warned } from "./findings.ts";
import { quoted } from "./identifier.ts";
import { rows } from "./rows.ts";
import type { Session } from "../session.ts";

const server = z.object({
  walLevel: z.string(),
  isStandby: z.boolean(),
  slots: z.number(),
  maxSlots: z.number(),
  senders: z.number(),
  maxSenders: z.number(),
  /** MiB; -1: any. */
  keepSize: z.number(),
  /** 18+, seconds; 0: never. */
  idleTimeout: z.number().nullable(),
  /** 17+. */
  synchronizedStandbys: z.string().nullable(),
  role: z.string(),
  mayReplicate: z.boolean(),
  /** Amazon RDS and Aurora: this role gives what the attribute gives elsewhere. */
  hasRdsRole: z.boolean(),
  mayEmit: z.boolean(),
  emit: z.string(),
  hasSlot: z.boolean(),
  /** The source itself is at work. */
  isStreaming: z.boolean(),
});

/** What the server and the role must be and have, whatever is captured. Changes nothing. */
export async function serverFindings(
  session: Pick<Session, "query" | "serverVersion">,
  options: Pick<Options, "heartbeatMs" | "failover" | "snapshot">,
  slot: string,
): Promise<readonly Finding[]> {
  const { serverVersion } = session;
  const version = `${Math.floor(serverVersion / 10_000)}.${serverVersion % 10_000}`;
  if (serverVersion < 140_000)
    return [
      advised(
        failed("postgres.too-old", `the server is PostgreSQL ${version}.`),
        "Update it: logical messages, which snapshots need, came with PostgreSQL 14.",
      ),
    ];
  const [facts] = await rows(session, server, query, [slot]);
  if (!facts) return [];
  if (facts.isStandby)
    return [
      advised(
        failed(
          "postgres.standby",
          `the server is a standby, which takes no publication and no message.`,
        ),
        "Connect to the primary; a failover slot is there on its standbys too.",
      ),
    ];
  return [
    fine("postgres.server", `PostgreSQL ${version} answers.`),
    ...ofReplication(facts),
    ...ofRole(facts, options),
    ...ofFailover(facts, options, serverVersion),
    ...ofRetention(facts),
  ];
}

type Facts = z.output<typeof server>;

function ofReplication(facts: Facts): readonly Finding[] {
  const findings: Finding[] = [];
  if (facts.walLevel !== "logical")
    findings.push(
      advised(
        failed("postgres.wal-level", `wal_level is ${facts.walLevel}.`),
        "Run: ALTER SYSTEM SET wal_level = 'logical'; then restart the server.",
      ),
    );
  if (!facts.hasSlot && facts.slots >= facts.maxSlots)
    findings.push(
      advised(
        failed("postgres.no-free-slot", `all ${facts.maxSlots} replication slots are taken.`),
        `Drop one that nobody needs (SELECT * FROM pg_replication_slots WHERE NOT active), or run: ALTER SYSTEM SET max_replication_slots = ${facts.slots + 5}; then restart the server.`,
      ),
    );
  if (!facts.isStreaming && facts.senders >= facts.maxSenders)
    findings.push(
      advised(
        failed("postgres.no-free-sender", `all ${facts.maxSenders} WAL senders are at work.`),
        `Run: ALTER SYSTEM SET max_wal_senders = ${facts.senders + 5}; then restart the server.`,
      ),
    );
  return findings;
}

function ofRole(facts: Facts, options: Pick<Options, "heartbeatMs">): readonly Finding[] {
  const role = quoted(facts.role);
  const findings: Finding[] = [];
  if (!facts.mayReplicate)
    findings.push(
      failed(
        "postgres.no-replication",
        `role ${role} may not replicate.`,
        facts.hasRdsRole ? `GRANT rds_replication TO ${role};` : `ALTER ROLE ${role} REPLICATION;`,
      ),
    );
  if (!facts.mayEmit)
    findings.push(
      failed(
        "postgres.no-messages",
        `role ${role} may not write logical messages, which heartbeats and snapshots need.`,
        `GRANT EXECUTE ON FUNCTION ${facts.emit} TO ${role};`,
      ),
    );
  if (options.heartbeatMs === 0)
    findings.push(
      advised(
        warned(
          "postgres.no-heartbeat",
          "`heartbeatMs` is 0: while the captured tables rest, the log of all others piles up.",
        ),
        "Set `heartbeatMs`, e.g. 30000.",
      ),
    );
  return findings;
}

function ofFailover(
  facts: Facts,
  options: Pick<Options, "failover">,
  serverVersion: number,
): readonly Finding[] {
  if (!options.failover) return [];
  if (serverVersion < 170_000)
    return [
      advised(
        failed("postgres.failover-too-old", "`failover` needs PostgreSQL 17."),
        "Take `failover` out, or update the server.",
      ),
    ];
  if (facts.synchronizedStandbys !== "") return [];
  return [
    warned(
      "postgres.failover-ahead",
      "synchronized_standby_slots is empty: the stream may run ahead of the standby, and its position be lost in a failover. Name the standby's physical slot instead of standby1.",
      "ALTER SYSTEM SET synchronized_standby_slots = 'standby1'; SELECT pg_reload_conf();",
    ),
  ];
}

/** How long the server keeps the log, and the slot, of a pipeline that does not run. */
function ofRetention(facts: Facts): readonly Finding[] {
  const findings: Finding[] = [];
  if (facts.keepSize < 0)
    findings.push(
      warned(
        "postgres.no-wal-limit",
        "max_slot_wal_keep_size is not set: while the pipeline stands still, the log can fill the server's disk. 50 GB is an example: take less than what is free.",
        "ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; SELECT pg_reload_conf();",
      ),
    );
  if (facts.idleTimeout !== null && facts.idleTimeout > 0)
    findings.push(
      warned(
        "postgres.idle-slot-timeout",
        `idle_replication_slot_timeout is ${facts.idleTimeout} s: the server takes the slot of a pipeline that stands still for longer.`,
        "ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf();",
      ),
    );
  return findings;
}

const query = `
  SELECT current_setting('wal_level') AS "walLevel", pg_is_in_recovery() AS "isStandby",
    (SELECT count(*) FROM pg_replication_slots) AS slots,
    current_setting('max_replication_slots')::int AS "maxSlots",
    (SELECT count(*) FROM pg_stat_replication) AS senders,
    current_setting('max_wal_senders')::int AS "maxSenders",
    (SELECT setting::int8 FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS "keepSize",
    (SELECT setting::int8 FROM pg_settings WHERE name = 'idle_replication_slot_timeout') AS "idleTimeout",
    current_setting('synchronized_standby_slots', true) AS "synchronizedStandbys",
    current_user AS role,
    (SELECT r.rolreplication OR r.rolsuper FROM pg_roles r WHERE r.rolname = current_user)
      OR EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'rds_replication' AND pg_has_role(r.oid, 'MEMBER'))
      AS "mayReplicate",
    EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'rds_replication') AS "hasRdsRole",
    has_function_privilege(emit.oid, 'EXECUTE') AS "mayEmit", emit.oid::regprocedure::text AS emit,
    EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1) AS "hasSlot",
    EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active) AS "isStreaming"
  FROM pg_proc emit
  WHERE emit.proname = 'pg_logical_emit_message' AND emit.proargtypes[2] = 'text'::regtype`;
