import { createHash } from "node:crypto";

/**
 * Tells two states of an object apart without reading it: 12 hex digits of what both a listing and the
 * object itself say. Seconds, because headers hold no more; content that changes within one has
 * another ETag. Of the bucket too: under another bucket all is news.
 */
export function fingerprintOf(
  bucket: string,
  state: {
    readonly etag: string;
    readonly size: number;
    readonly modified: Date | undefined;
  },
): string {
  const etag = bareEtag(state.etag);
  const seconds = Math.floor((state.modified?.getTime() ?? 0) / 1_000);
  const hash = createHash("sha256").update(`${bucket}\n${etag}\n${state.size}\n${seconds}`);
  return hash.digest("hex").slice(0, 12);
}

/** Without quotes, and without the mark of a proxy that compresses. */
export function bareEtag(etag: string): string {
  return etag.replace(/^W\//, "").replaceAll('"', "");
}
