/** Who asks for more is asked again after an hour: it may have meant something else, and no timer waits for months. */
const maxMs = 3_600_000;

/** Milliseconds that `Retry-After` asks for, in seconds or as a date; an hour at most. */
export function retryAfterOf(headers: Headers): number | undefined {
  const text = headers.get("retry-after");
  if (text === null) return undefined;
  const ms = /^\d+(\.\d+)?$/.test(text.trim())
    ? Number(text) * 1_000
    : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.min(maxMs, Math.max(0, ms)) : undefined;
}
