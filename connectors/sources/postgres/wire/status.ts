/** Milliseconds from 1970 to 2000, where PostgreSQL's clock starts. */
const epochMs = 946_684_800_000;

/**
 * A standby status update, ready for the socket: written = flushed = applied = `confirmed`. With
 * `wantsAnswer` the server sends a keepalive at once.
 */
export function statusUpdate(confirmed: bigint, wantsAnswer: boolean): Buffer {
  const frame = Buffer.allocUnsafe(39);
  frame.write("d", 0, "latin1");
  frame.writeInt32BE(38, 1);
  frame.write("r", 5, "latin1");
  frame.writeBigUInt64BE(confirmed, 6);
  frame.writeBigUInt64BE(confirmed, 14);
  frame.writeBigUInt64BE(confirmed, 22);
  frame.writeBigInt64BE(BigInt(Date.now() - epochMs) * 1_000n, 30);
  frame[38] = wantsAnswer ? 1 : 0;
  return frame;
}
