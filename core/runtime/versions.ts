import { version, type Version } from "../version.ts";

/**
 * The clock behind `nextVersion`: strictly rising within one holder of a source's lease by counting,
 * and over take-overs because a later holder's token, the epoch, is larger, whatever its clock says.
 */
export function versionClock(token: number, now = () => Date.now()): () => Version {
  let last = 0n;
  return () => {
    const micros = BigInt(now()) * 1000n;
    last = micros > last ? micros : last + 1n;
    return version({ epoch: token, position: last, rank: 0, tail: 0 });
  };
}
