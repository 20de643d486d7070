import { Readable } from "node:stream";
import type { GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { fakes } from "sluice/testing";
import { describe, expect, it } from "vitest";
import type { Bucket } from "./bucket.ts";
import { giveUp } from "./give-up.ts";
import { openFailures } from "./memory/failures.ts";
import { openMemory } from "./memory/memory.ts";
import { witness } from "./witness.ts";

const { signal } = new AbortController();
const listed = { key: "", etag: "e", size: 1, fingerprint: "f", isArchived: false };
const cause = new Error("500");

/** More objects than are taken for single ones fail; `readable` was read before, and so was `bad-0`. */
async function failing(canRead: boolean) {
  const { state } = fakes.state();
  const memory = await openMemory(state);
  const known = await memory.open(["bad-0", "readable"]);
  for (const key of ["bad-0", "readable"]) known.set(key, "000000000000");
  await state.each(known.writes());
  const failures = await openFailures(state);
  for (let n = 0; n <= 1_000; n++) await failures.failed(`bad-${n}`, "f", "500");
  const asked: string[] = [];
  const bucket = {
    name: "b",
    find: async (key: string) => ({ ...listed, key }),
    get: async (key: string) => {
      asked.push(key);
      if (!canRead) throw cause;
      return { Body: Readable.from([]) } as unknown as GetObjectCommandOutput;
    },
  } as unknown as Bucket;
  const canReadOther = witness({ bucket, memory, failures, signal });
  const look = (key: string) =>
    giveUp({ key, isForced: false, isOfPass: true, listed, messages: [] }, cause, {
      isAlone: true,
      isLast: false,
      bucket,
      failures,
      canReadOther,
      signal,
    });
  return { look, asked };
}

describe("more than a thousand objects that fail", () => {
  it("are an outage where what was read before cannot be read either", async () => {
    const { look } = await failing(false);
    await expect(look("more")).rejects.toBe(cause);
  });
  it("fail by themselves where it can, which is asked once for many", async () => {
    const { look, asked } = await failing(true);
    for (let n = 0; n < 50; n++)
      expect(await look(`more-${n}`)).toMatchObject({ kind: "unreadable" });
    expect(asked).toEqual(["readable"]);
  });
});
