import type { Readable } from "node:stream";
import type { GetObjectCommandOutput, S3Client } from "@aws-sdk/client-s3";
import { ConfigError } from "sluice";
import { byBytes } from "./byte-order.ts";
import type { Options } from "./config.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { patiently } from "./patience.ts";
import { foreign, unavailable } from "./refusal.ts";
import { sdk } from "./sdk.ts";

/** An object as the listing shows it. */
export interface ListedObject {
  readonly key: string;
  /** As the store writes it, with its quotes. */
  readonly etag: string;
  readonly size: number;
  readonly fingerprint: string;
  /** Must be restored before it can be read. */
  readonly isArchived: boolean;
}

/** A bucket, as far as we need it. What it throws are the SDK's errors, but for `list`, and for answers of what is no store. */
export interface Bucket {
  readonly name: string;
  readonly uriOf: (key: string) => string;
  /**
   * Pages of the objects under `prefix` and behind `after`, in byte order, the next page on its way
   * while one is worked on. Throws a `SluiceError`.
   */
  readonly list: (
    range: { readonly prefix: string; readonly after: string },
    run: { readonly signal: AbortSignal; readonly throttled?: () => void },
  ) => AsyncIterable<readonly ListedObject[]>;
  /** As a listing shows it: the one way to tell absent from forbidden. */
  readonly find: (
    key: string,
    run: { readonly signal: AbortSignal },
  ) => Promise<ListedObject | undefined>;
  /** The object as it is now, its body not yet read; with `ifMatch` only in that state, else 412. */
  readonly get: (
    key: string,
    run: { readonly signal: AbortSignal; readonly ifMatch?: string },
  ) => Promise<GetObjectCommandOutput>;
  readonly close: () => void;
}

/** The SDK tries three times: a server that hangs is one that is away within a minute. */
const timeouts = {
  connectionTimeout: 5_000,
  /** Until an answer begins. */
  requestTimeout: 15_000,
  throwOnRequestTimeout: true,
  /** Between two pieces of it. */
  socketTimeout: 30_000,
};
/** For listings, and for what is asked about single keys. */
const spareSockets = 8;

interface Page {
  readonly objects: readonly ListedObject[];
  readonly isLast: boolean;
  readonly token: string | undefined;
}

export async function openBucket(options: Options): Promise<Bucket> {
  const { S3Client, ListObjectsV2Command, GetObjectCommand } = await sdk.s3();
  const client: S3Client = new S3Client({
    ...clientOptions(options),
    requestHandler: {
      ...timeouts,
      httpAgent: { maxSockets: options.readsAtOnce + spareSockets },
      httpsAgent: { maxSockets: options.readsAtOnce + spareSockets },
    },
    forcePathStyle: options.pathStyle ?? options.endpoint !== undefined,
    followRegionRedirects: true,
  });
  const Bucket = options.bucket;
  const payer = options.requesterPays ? ({ RequestPayer: "requester" } as const) : {};
  const what = `bucket "${Bucket}"`;

  const page = async (
    range: {
      readonly prefix: string;
      readonly after?: string | undefined;
      readonly token?: string | undefined;
      readonly maxKeys?: number;
    },
    signal: AbortSignal,
  ): Promise<Page> => {
    const command = new ListObjectsV2Command({
      Bucket,
      Prefix: range.prefix,
      StartAfter: range.token === undefined ? range.after : undefined,
      ContinuationToken: range.token,
      MaxKeys: range.maxKeys,
      // XML cannot hold every character a key may have; the SDK leaves the decoding to us.
      EncodingType: "url",
      ...payer,
    });
    const answer = await client.send(command, { abortSignal: signal });
    // A page of HTML reads like an empty bucket.
    if (answer.IsTruncated === undefined) throw foreign(what);
    const isEncoded = answer.EncodingType === "url";
    const objects = (answer.Contents ?? []).map(
      ({ Key = "", ETag = "", Size = 0, LastModified, StorageClass }): ListedObject => ({
        key: isEncoded ? decoded(Key) : Key,
        etag: ETag,
        size: Size,
        fingerprint: fingerprintOf(Bucket, { etag: ETag, size: Size, modified: LastModified }),
        isArchived: StorageClass === "GLACIER" || StorageClass === "DEEP_ARCHIVE",
      }),
    );
    return { objects, isLast: !answer.IsTruncated, token: answer.NextContinuationToken };
  };

  return {
    name: Bucket,
    uriOf: (key) => `s3://${Bucket}/${key.split("/").map(encodeURIComponent).join("/")}`,
    async *list({ prefix, after }, { signal, throttled = () => {} }) {
      let last = after;
      const ask = (token: string | undefined): Promise<Page> => {
        const range = { prefix, after: last || undefined, token };
        const once = () =>
          page(range, signal).catch((cause: unknown) => {
            signal.throwIfAborted();
            throw unavailable(what, cause);
          });
        const asked = patiently(once, { signal, throttled });
        asked.catch(() => {}); // thrown where it is awaited
        return asked;
      };
      for (let next: Promise<Page> | undefined = ask(undefined); next !== undefined;) {
        const { objects, isLast, token }: Page = await next;
        for (const { key } of objects) {
          if (byBytes(key, last) <= 0) throw unordered(what, last, key);
          last = key;
        }
        next = isLast ? undefined : ask(token);
        if (objects.length > 0) yield objects;
      }
    },
    find: async (key, { signal }) => {
      // A key sorts before all that it begins.
      const { objects } = await page({ prefix: key, maxKeys: 1 }, signal);
      return objects[0]?.key === key ? objects[0] : undefined;
    },
    get: async (key, { signal, ifMatch }) => {
      const command = new GetObjectCommand({ Bucket, Key: key, IfMatch: ifMatch, ...payer });
      const answer = await client.send(command, { abortSignal: signal });
      if (answer.ETag !== undefined) return answer;
      (answer.Body as unknown as Readable).destroy(); // on Node the SDK answers with one
      throw foreign(what);
    },
    close: () => client.destroy(),
  };
}

/** What clients of the bucket and of the queue have in common. */
export function clientOptions(
  options: Pick<
    Options,
    "region" | "endpoint" | "accessKeyId" | "secretAccessKey" | "sessionToken"
  >,
) {
  const { region, endpoint, accessKeyId, secretAccessKey, sessionToken } = options;
  const credentials =
    accessKeyId !== undefined && secretAccessKey !== undefined
      ? { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) }
      : undefined;
  return {
    ...(region !== undefined && { region }),
    // Other stores seldom have regions, but a signature needs one.
    ...(endpoint !== undefined && {
      endpoint,
      ...(region === undefined && { region: "us-east-1" }),
    }),
    ...(credentials && { credentials }),
    // For what passes at once; longer waits are ours, where a stop and a slower pace can be seen.
    retryMode: "standard",
    maxAttempts: 3,
    requestHandler: timeouts,
  };
}

/** As URL encoding writes it in listings: `+` is a space, a plus is `%2B`. */
function decoded(key: string): string {
  try {
    return decodeURIComponent(key.replaceAll("+", " "));
  } catch {
    // Says that it encodes and does not.
    return key;
  }
}

function unordered(what: string, before: string, after: string): ConfigError {
  return new ConfigError(
    `s3: ${what} lists ${JSON.stringify(after)} behind ${JSON.stringify(before)}, out of byte order.`,
    {
      code: "s3.unordered",
      fix: "Use a general purpose bucket: directory buckets (S3 Express) and some other stores cannot be compared with what was there before.",
    },
  );
}
