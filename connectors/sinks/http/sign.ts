import { createHash, createHmac } from "node:crypto";
import type { SluiceEvent } from "sluice";

/** The same for the same events, whenever they are sent: by it a receiver knows a repeat. */
export function webhookId(events: readonly SluiceEvent[]): string {
  const hash = createHash("sha256");
  for (const { source, id } of events) hash.update(JSON.stringify([source, id]));
  return `evt_${hash.digest("base64url").slice(0, 32)}`;
}

/** Standard Webhooks: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. */
export function signature(
  key: Buffer,
  {
    id,
    timestamp,
    body,
  }: { readonly id: string; readonly timestamp: number; readonly body: Buffer },
): string {
  const mac = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64");
  return `v1,${mac}`;
}

/** The bytes that `whsec_` and base64 say, else those of the text itself. */
export function keyOf(secret: string): Buffer {
  const prefix = "whsec_";
  return secret.startsWith(prefix)
    ? Buffer.from(secret.slice(prefix.length), "base64")
    : Buffer.from(secret);
}
