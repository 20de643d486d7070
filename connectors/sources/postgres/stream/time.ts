/** 2000-01-01, PostgreSQL's epoch, in milliseconds since 1970. */
const epochMs = 946_684_800_000;

/** RFC 3339 with microseconds, of PostgreSQL's microseconds since 2000-01-01. */
export function timeText(microseconds: bigint): string {
  const whole = microseconds / 1_000n;
  const rest = microseconds % 1_000n;
  const [ms, micro] = rest < 0n ? [whole - 1n, rest + 1_000n] : [whole, rest];
  const text = new Date(epochMs + Number(ms)).toISOString();
  return `${text.slice(0, -1)}${micro.toString().padStart(3, "0")}Z`;
}
