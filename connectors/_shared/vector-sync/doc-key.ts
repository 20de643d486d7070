import { hash } from "node:crypto";

const maxDocKeyBytes = 200;
const keptBytes = 160;

/**
 * A record's name in an index and in state: `enc(source):enc(subject)`. Injective, printable ASCII,
 * at most 200 bytes; a longer one keeps its first 160 bytes, `~` and a hash of the whole.
 */
export function docKeyOf(source: string, subject: string): string {
  const whole = `${encoded(source)}:${encoded(subject)}`;
  // Only a shortened key holds a `~`: enc() escapes it.
  return whole.length <= maxDocKeyBytes ? whole : `${head(whole)}~${base32(whole)}`;
}

/** What every docKey of a source begins with. A very long source shares it with others: compare `source` as well. */
export function docKeyPrefixOf(source: string): string {
  const whole = `${encoded(source)}:`;
  return whole.length <= keptBytes ? whole : head(whole);
}

/** `#` ends the docKey, so that no document's prefix is the beginning of another's. */
export function vectorIdOf(docKey: string, chunkId: string): string {
  return `${docKey}#${chunkId}`;
}

function encoded(text: string): string {
  return text.replace(/[^\x21-\x7e]|[#:,%~]/gu, (character) =>
    Buffer.from(character).toString("hex").toUpperCase().replace(/../g, "%$&"),
  );
}

function head(whole: string): string {
  return whole.slice(0, keptBytes).replace(/%.?$/, "");
}

const alphabet = "abcdefghijklmnopqrstuvwxyz234567";

/** 32 characters: 160 bits of SHA-256. */
function base32(text: string): string {
  const digest = hash("sha256", text, "buffer");
  let bits = 0n;
  for (const byte of digest.subarray(0, 20)) bits = (bits << 8n) | BigInt(byte);
  let out = "";
  for (let at = 0; at < 32; at++, bits >>= 5n) out += alphabet[Number(bits & 31n)];
  return out;
}
