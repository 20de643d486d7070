import type { Finding, Log } from "sluice";
import { Client } from "pg";
import { config, type Options } from "../config.ts";
import { openSession, type Session } from "../session.ts";

/** Options as a config file would give them. */
export function optionsOf(
  url: string,
  tables: readonly unknown[],
  more: Readonly<Record<string, unknown>> = {},
): Options {
  return config.parse({ url, tables, ...more });
}

export interface Database {
  readonly url: string;
  readonly session: Session;
  /** As a superuser, with nothing of ours set: what an administrator would type. */
  readonly run: (...statements: readonly string[]) => Promise<readonly Record<string, unknown>[]>;
  readonly close: () => Promise<void>;
}

/** A session of ours and one of an administrator. */
export async function openDatabase(url: string): Promise<Database> {
  const admin = new Client(url);
  admin.on("error", () => {}); // A server that is restarted ends it.
  await admin.connect();
  const session = await openSession(
    { url, statementTimeoutMs: 60_000 },
    { name: "test", signal: new AbortController().signal },
  );
  return {
    url,
    session,
    run: async (...statements) => {
      let last: readonly Record<string, unknown>[] = [];
      for (const statement of statements) last = (await admin.query(statement)).rows;
      return last;
    },
    close: async () => {
      await session.close();
      await admin.end();
    },
  };
}

/** The SQL of the findings' fixes, statement by statement, as psql sends it. */
export function remedies(findings: readonly Finding[]): readonly string[] {
  return findings.flatMap(
    ({ fix }) => /[Rr]un: (.*;)/s.exec(fix ?? "")?.[1]?.split(/(?<=;) /) ?? [],
  );
}

export function codes(findings: readonly Finding[]): readonly string[] {
  return findings.map(({ severity, code }) => `${severity} ${code.replace("postgres.", "")}`);
}

export const silent: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
