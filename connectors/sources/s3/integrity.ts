import type { GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { bareEtag } from "./fingerprint.ts";

/** True unless the bytes that were read are others than those that were put. Asked after every read. */
export type Integrity = (key: string, md5: string, answer: GetObjectCommandOutput) => boolean;

/**
 * The SDK compares checksums where the store keeps them. Where it keeps none the ETag is the MD5 of
 * what was put: unless the object came in parts or is encrypted with another key than the store's, or
 * the store makes its ETags in some other way, which shows when one object reads the same twice.
 */
export function integrity(): Integrity {
  let etags: "unknown" | "md5" | "other" = "unknown";
  const differing = new Map<string, string>();
  return (key, md5, answer) => {
    const isChecked = Object.keys(answer).some((name) => /^Checksum(CRC|SHA)/.test(name));
    const isOther =
      answer.SSECustomerAlgorithm !== undefined || /kms/i.test(answer.ServerSideEncryption ?? "");
    const etag = bareEtag(answer.ETag ?? "");
    if (etags === "other" || isChecked || isOther || !/^[0-9a-f]{32}$/.test(etag)) return true;
    if (etag === md5) {
      etags = "md5";
      differing.clear();
      return true;
    }
    if (etags === "md5") return false;
    if (differing.get(key) === md5) {
      etags = "other";
      differing.clear();
      return true;
    }
    differing.set(key, md5);
    return false;
  };
}
