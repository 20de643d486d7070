import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { ConfigError } from "sluice";
import { parseTarget } from "./url.ts";

describe("parseTarget", () => {
  it("reads every part", async () => {
    for (const [url, target] of [
      [
        "postgres://me:p%40ss%2Fword@db.example.com:6543/shop",
        { host: "db.example.com", port: 6543, database: "shop", user: "me", password: "p@ss/word" },
      ],
      ["postgresql://me@db/", { host: "db", port: 5432, database: "me", user: "me" }],
      [
        "postgres://me:100%@db/d",
        { host: "db", port: 5432, database: "d", user: "me", password: "100%" },
      ],
      [
        "postgres://u:a%20b@[::1]:1/%22d%22",
        { host: "::1", port: 1, database: '"d"', user: "u", password: "a b" },
      ],
      [
        "postgres:///shop?host=/var/run/postgresql&user=me",
        { host: "/var/run/postgresql", port: 5432, database: "shop", user: "me" },
      ],
      [
        "postgres://db/shop%40x?user=me@there&password=a@b",
        { host: "db", port: 5432, database: "shop@x", user: "me@there", password: "a@b" },
      ],
      [
        "postgres://u@db/d?options=-c%20wal_sender_timeout%3D2s&sslmode=disable&schema=public",
        { host: "db", port: 5432, database: "d", user: "u", options: "-c wal_sender_timeout=2s" },
      ],
      [
        "postgres://u@db/d?sslmode=verify-full",
        { host: "db", port: 5432, database: "d", user: "u", tls: {} },
      ],
    ] as const)
      expect(await parseTarget({ url }), url).toEqual(target);
  });

  it("refuses what it would read wrongly, says the fix, and shows no password", async () => {
    for (const [url, text] of [
      ["postgres://u:geheim@a:1,b:2/d", /one server/],
      ["postgres://u:geheim@db:99999/d", /one server/],
      ...["/", "?", "#", "a/", "@/", "@a?", "@#"].map(
        (cut) => [`postgres://u:1${cut}geheim@db/d`, /one server/] as const,
      ),
      [
        "postgres://u:geheim@db/d?sslmode=require",
        /sslmode=require, which does not check who answers/,
      ],
      ["postgres://u:geheim@db/d?sslmode=prefer", /sslmode=prefer/],
      ["postgres://u:geheim@db/d?sslmod=verify-full", /sslmod, which is not read/],
      ["postgres://u:geheim@db/d?ssl=true", /ssl, which is not read/],
      ["postgres://u:geheim@db/d?sslmode=verify-full&sslrootcert=/x", /sslrootcert/],
    ] as const) {
      const error = await parseTarget({ url }).then(
        () => undefined,
        (caught: unknown) => caught,
      );
      expect(error, url).toBeInstanceOf(ConfigError);
      expect(error).toMatchObject({
        code: "postgres.url",
        message: expect.stringMatching(text),
        fix: expect.any(String),
      });
      expect(inspect(error, { depth: 9 })).not.toContain("geheim");
    }
  });

  it("reads the authority's certificate, and refuses a file that holds none, or one without TLS", async () => {
    const dir = await mkdtemp(join(tmpdir(), "sluice-ca-"));
    try {
      const ca = join(dir, "ca.pem");
      const url = "postgres://u@db/d?sslmode=verify-full";
      await expect(parseTarget({ url, ca })).rejects.toMatchObject({ code: "postgres.ca" });
      await writeFile(ca, "nothing");
      await expect(parseTarget({ url, ca })).rejects.toMatchObject({ code: "postgres.ca" });
      await writeFile(ca, "-----BEGIN CERTIFICATE-----\n…");
      expect((await parseTarget({ url, ca })).tls?.ca).toContain("BEGIN");
      await expect(parseTarget({ url: "postgres://u@db/d", ca })).rejects.toMatchObject({
        code: "postgres.url",
        message: expect.stringContaining("uses no TLS"),
      });
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});
