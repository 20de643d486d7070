import type { Fault } from "../../connectors/sinks/pinecone/local/server.ts";
import { seeded } from "../chaos/random.ts";

/** How likely a request meets each fault; the rest is answered truly. */
export interface Weather {
  readonly throttled: number;
  readonly unavailable: number;
  readonly resetBefore: number;
  readonly resetAfter: number;
  readonly hang: number;
}

/** What every test has to live with. */
export const breeze: Weather = {
  throttled: 0.08,
  unavailable: 0.05,
  resetBefore: 0.03,
  resetAfter: 0.04,
  hang: 0,
};

export const storm: Weather = {
  throttled: 0.3,
  unavailable: 0.1,
  resetBefore: 0.05,
  resetAfter: 0.05,
  hang: 0.02,
};

/** Faults drawn by a seed; every other 429 says how long to wait. */
export function faults(weather: Weather, seed: number): () => Fault | undefined {
  const random = seeded(seed);
  return () => {
    let dice = random.next();
    const hits = (share: number) => (dice -= share) < 0;
    if (hits(weather.throttled)) {
      const told = random.next() < 0.5;
      return {
        status: 429,
        body: { code: 8, message: "Too many requests" },
        ...(told && { headers: { "retry-after": "1" } }),
      };
    }
    if (hits(weather.unavailable)) return { status: 503, body: { code: 14, message: "busy" } };
    if (hits(weather.resetBefore)) return "reset-before";
    if (hits(weather.resetAfter)) return "reset-after";
    return hits(weather.hang) ? "hang" : undefined;
  };
}
