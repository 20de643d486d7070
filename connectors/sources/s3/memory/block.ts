import { deflateRawSync, inflateRawSync } from "node:zlib";
import { ConfigError } from "sluice";

/** A key, and the fingerprint of the object that was last emitted of it. */
export interface Known {
  readonly key: string;
  /** 12 hex digits. */
  readonly fingerprint: string;
}

/** Keys of a block: more make it smaller on disk, fewer make a change of one key cheaper. */
export const maxKeys = 128;

const format = "1";
const fingerprintBytes = 6;

/** Up to `maxKeys` neighbouring keys packed together: about 15 bytes each, as they share most of their text. */
export function pack(entries: readonly Known[]): string {
  const fingerprints = entries.map(({ fingerprint }) => fingerprint).join("");
  const keys = deflateRawSync(entries.map(({ key }) => key).join("\0"));
  const bytes = [Buffer.of(entries.length), Buffer.from(fingerprints, "hex"), keys];
  return format + Buffer.concat(bytes).toString("base64");
}

/** Throws `ConfigError` for what this version of `pack` did not write. */
export function unpack(text: unknown): Known[] {
  if (typeof text !== "string" || !text.startsWith(format))
    throw new ConfigError("s3: the source's state was written by a newer version.", {
      code: "s3.state-newer",
      fix: "Use the newer version of Sluice that wrote it, or another name for the connector.",
    });
  const bytes = Buffer.from(text.slice(format.length), "base64");
  const count = bytes[0] ?? 0;
  const keysFrom = 1 + count * fingerprintBytes;
  const fingerprints = bytes.toString("hex", 1, keysFrom);
  const keys = inflateRawSync(bytes.subarray(keysFrom)).toString().split("\0");
  const digits = 2 * fingerprintBytes;
  return keys.slice(0, count).map((key, at) => ({
    key,
    fingerprint: fingerprints.slice(digits * at, digits * (at + 1)),
  }));
}
