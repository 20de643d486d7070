import { z } from "sluice";

/** An object's key that something happened to. What, the object itself will say. */
export interface Hint {
  readonly key: string;
  /** Rises with every change of the key, where the store is known to make them so. */
  readonly sequencer?: string;
  readonly size?: number;
  /** RFC 3339, if it was removed. */
  readonly removedAt?: string;
}

/** What a message of the queue tells. */
export type Told =
  | { readonly kind: "hints"; readonly hints: readonly Hint[] }
  /** S3's own test, when notifications are set up. */
  | { readonly kind: "test" }
  /** About another bucket. */
  | { readonly kind: "foreign"; readonly bucket: string }
  | { readonly kind: "unreadable" };

const object = z.object({
  key: z.string().min(1),
  size: z.number().nullish(),
  sequencer: z.string().nullish(),
});
const bucket = z.object({ name: z.string() });

/** As S3 and its like write into a queue. */
const records = z.object({
  Records: z.array(
    z.object({
      eventSource: z.string().nullish(),
      eventName: z.string(),
      eventTime: z.string().nullish(),
      s3: z.object({ bucket, object }),
    }),
  ),
});
/** As EventBridge passes it on. */
const bridged = z.object({
  source: z.literal("aws.s3"),
  "detail-type": z.string(),
  time: z.string(),
  detail: z.object({ bucket, object }),
});
/** As SNS wraps either, unless raw delivery is on. */
const wrapped = z.object({ Type: z.literal("Notification"), Message: z.string() });
const test = z.object({ Event: z.literal("s3:TestEvent") });

/** Reads a message's body. The order of hints means nothing, and one may be told twice. */
export function hintsOf(
  body: string,
  as: { readonly bucket: string; readonly keys: "auto" | "encoded" | "raw" },
): Told {
  const value = parsed(body);
  const wrap = wrapped.safeParse(value);
  if (wrap.success) return hintsOf(wrap.data.Message, as);
  if (test.safeParse(value).success) return { kind: "test" };

  const s3 = records.safeParse(value);
  const bridge = bridged.safeParse(value);
  const all = s3.success
    ? s3.data.Records.map(({ eventSource, eventName, eventTime, s3: { bucket, object } }) => ({
        bucket: bucket.name,
        hint: {
          key: keyOf(object.key, as.keys, eventSource ?? ""),
          ...sequenced(object.sequencer, eventSource === "aws:s3"),
          ...sized(object.size),
          ...removed(/ObjectRemoved|LifecycleExpiration/.test(eventName), eventTime),
        },
      }))
    : bridge.success
      ? [bridge.data].map(({ "detail-type": type, time, detail: { bucket, object } }) => ({
          bucket: bucket.name,
          hint: {
            // EventBridge does not encode.
            key: object.key,
            ...sequenced(object.sequencer, true),
            ...sized(object.size),
            ...removed(type === "Object Deleted", time),
          },
        }))
      : undefined;
  if (all === undefined) return { kind: "unreadable" };

  const ours = all.filter(({ bucket }) => bucket === as.bucket);
  const other = all.find(({ bucket }) => bucket !== as.bucket);
  if (other !== undefined && ours.length === 0) return { kind: "foreign", bucket: other.bucket };
  return { kind: "hints", hints: ours.map(({ hint }) => hint) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Told as unreadable.
    return undefined;
  }
}

/** AWS encodes keys as forms do, `+` for a space; Ceph and some others do not encode at all. */
function keyOf(key: string, keys: "auto" | "encoded" | "raw", eventSource: string): string {
  // An encoder leaves no other characters.
  const isRaw = eventSource === "ceph:s3" || /[^!-~]/.test(key);
  if (keys === "raw" || (keys === "auto" && isRaw)) return key;
  try {
    return decodeURIComponent(key.replaceAll("+", " "));
  } catch {
    // A bare percent sign: it was not encoded.
    return key;
  }
}

/** Only AWS promises an order, and its digits are many; other stores count in their own ways. */
function sequenced(sequencer: string | null | undefined, isAws: boolean) {
  return isAws && sequencer && /^[0-9A-F]{16,}$/i.test(sequencer) ? { sequencer } : {};
}

/** Some stores say 0 where they mean that they do not know. */
function sized(size: number | null | undefined) {
  return Number.isSafeInteger(size) && Number(size) > 0 ? { size: Number(size) } : {};
}

function removed(isRemoved: boolean, time: string | null | undefined) {
  const at = new Date(time ?? "");
  return isRemoved && !Number.isNaN(at.getTime()) ? { removedAt: at.toISOString() } : {};
}
