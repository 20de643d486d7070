import type { TopologyDescription } from "mongodb";
import { ConfigError, PositionLostError, RetryableError, SluiceError } from "sluice";
import type { Namespace } from "./change.ts";

/** Server error codes that are told apart (https://github.com/mongodb/mongo, error_codes.yml). */
const code = {
  unauthorized: 13,
  authenticationFailed: 18,
  noMatchingDocument: 47,
  viewOrTimeSeries: 166,
  invalidResumeToken: 260,
  streamFatal: 280,
  historyLost: 286,
  tooLarge: 10_334,
  pieceTooLarge: 7_182_500,
  notReplicaSet: 40_573,
} as const;

/** Passing by definition: shutdown, election, network, a cursor that is gone. */
const passing = new Set([
  6, 7, 43, 50, 63, 89, 91, 133, 134, 150, 175, 189, 202, 234, 237, 262, 269, 384, 402, 9_001,
  10_107, 11_600, 11_602, 13_388, 13_435, 13_436,
]);
const passingNames =
  /^(Mongo)?(Network|ServerSelection|PoolCleared|WaitQueueTimeout|TopologyClosed|ExpiredSession)/;

/**
 * An event, or a piece of one, does not fit into an answer; or it would come in pieces, which the server cannot number
 * behind some of its own tokens (6.0).
 */
export function isTooLarge(error: unknown): boolean {
  const found = codeOf(error);
  return (
    found === code.tooLarge ||
    found === code.pieceTooLarge ||
    messageOf(error).includes("cannot have a fragmentNum")
  );
}

/** The same request may succeed in a moment, maybe at another member. */
export function isPassing(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof RetryableError) return error.reason === "unreachable";
  // The driver lets some errors of the socket through as they are.
  if ("code" in error && typeof error.code === "string" && /^E[A-Z]+$/.test(error.code))
    return true;
  const labels =
    "errorLabels" in error && Array.isArray(error.errorLabels) ? error.errorLabels : [];
  return (
    passingNames.test(error.name) ||
    passing.has(codeOf(error) ?? -1) ||
    labels.includes("ResumableChangeStreamError") ||
    labels.includes("RetryableError")
  );
}

/** The changes after the position are gone. */
export function isLost(error: unknown): boolean {
  return codeOf(error) === code.historyLost;
}

/** The server does not know the position: its own word for it, not a guess. */
export function isUnknownPosition(error: unknown): boolean {
  const found = codeOf(error);
  return found === code.invalidResumeToken || found === code.streamFatal;
}

export function lost(span: string, cause: unknown): PositionLostError {
  return new PositionLostError(
    `mongodb: the oplog no longer holds the changes after the checkpoint (${span}).`,
    {
      code: "mongodb.position-lost",
      fix: 'Read the collections again: set `"onGap": "resnapshot"`, or reset the checkpoint. Then enlarge the oplog (replSetResizeOplog), so that it outlasts the longest stop.',
      cause,
    },
  );
}

export function unknownPosition(cause: unknown): PositionLostError {
  return new PositionLostError(
    `mongodb: the server does not resume from the checkpoint: ${messageOf(cause)}.`,
    {
      code: "mongodb.token-invalid",
      fix: 'Read the collections again: set `"onGap": "resnapshot"`, or reset the checkpoint.',
      cause,
    },
  );
}

/** Not even without a position. */
export function refusedStream(cause: unknown): ConfigError {
  return new ConfigError(`mongodb: the server refuses the change stream: ${messageOf(cause)}.`, {
    code: "mongodb.stream-refused",
    fix: "Check `pipeline`, and what this server's version offers.",
    cause,
  });
}

/** The error that says what to do; an unknown one as it came. */
export function explained(error: unknown): unknown {
  if (error instanceof SluiceError) return error;
  switch (codeOf(error)) {
    case code.notReplicaSet:
      return notReplicaSet(error);
    case code.viewOrTimeSeries:
      return new ConfigError(`mongodb: ${messageOf(error)}, which has no change stream.`, {
        code: "mongodb.not-a-collection",
        fix: "Capture the collection that a view reads. Time series cannot be captured.",
        cause: error,
      });
    case code.noMatchingDocument:
      return new ConfigError(
        "mongodb: an image of a document that `required` demands is missing: it expired, or its collection keeps none.",
        {
          code: "mongodb.image-missing",
          fix: "Use `whenAvailable` or `updateLookup`; or enable `changeStreamPreAndPostImages` (collMod), raise `expireAfterSeconds`, and read the collections again.",
          cause: error,
        },
      );
    case code.unauthorized:
      return new RetryableError(`mongodb: the user may not do that: ${messageOf(error)}.`, {
        code: "mongodb.forbidden",
        reason: "refused",
        fix: "Grant `read` on the database (`readAnyDatabase` for a whole deployment): db.grantRolesToUser(…). `sluice check` says which.",
        cause: error,
      });
    case code.authenticationFailed:
      return new RetryableError("mongodb: user or password are wrong.", {
        code: "mongodb.unauthorized",
        reason: "refused",
        fix: "Check user, password and `authSource` in `url`.",
        cause: error,
      });
    default:
      return isPassing(error) ? unreachable(error) : error;
  }
}

/** Even without its documents: its `_id` alone is too large. */
export function tooLarge(cause: unknown): PositionLostError {
  return new PositionLostError(
    `mongodb: the next event does not fit into an answer in any way: ${messageOf(cause)}.`,
    {
      code: "mongodb.event-too-large",
      fix: 'Its `_id` is of several megabytes. Delete that document, then read the collections again: set `"onGap": "resnapshot"`, or reset the checkpoint.',
      cause,
    },
  );
}

export function unreachable(cause: unknown): RetryableError {
  const other = setLookedFor(cause);
  const why =
    other === undefined
      ? messageOf(cause)
      : `no host of \`url\` is a member of the replica set "${other}"`;
  return new RetryableError(`mongodb: no answer: ${why}.`, {
    code: "mongodb.unreachable",
    reason: "unreachable",
    fix: "Is the server up, is `url` right, may this machine reach it, does its certificate fit?",
    cause,
  });
}

/** The driver forgets hosts that are of another set than `replicaSet` says, and then waits for none at all. */
function setLookedFor(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.name !== "MongoServerSelectionError") return undefined;
  const { reason } = error as { readonly reason?: TopologyDescription };
  return reason?.servers.size === 0 ? (reason.setName ?? undefined) : undefined;
}

export function notReplicaSet(cause?: unknown): ConfigError {
  return new ConfigError(
    "mongodb: the server is no member of a replica set, so it tells no changes.",
    {
      code: "mongodb.not-replica-set",
      fix: "Start it with `--replSet rs0` and run `rs.initiate()` once; one member is enough.",
      cause,
    },
  );
}

/** The position is of another deployment, or of this one in a future that was undone. */
export function foreignPosition(why: string): PositionLostError {
  return new PositionLostError(
    `mongodb: the checkpoint does not belong to this deployment: ${why}.`,
    {
      code: "mongodb.position-foreign",
      fix: 'Is `url` right? If so, read the collections again: set `"onGap": "resnapshot"`, or reset the checkpoint.',
    },
  );
}

/** A snapshot was asked for of what the config does not name. */
export function notCaptured(unknown: readonly string[], all: readonly string[]): SluiceError {
  return new SluiceError(`mongodb: no captured collection is ${unknown.join(" or ")}.`, {
    code: "mongodb.not-captured",
    fix: `Name one of what is captured, as \`database.collection\`: ${all.join(", ")}.`,
  });
}

/** Every data event has a key and a time; a pipeline that takes them away cannot be followed. */
export function brokenEvent(operation: string, namespace: Namespace | undefined): ConfigError {
  const name = namespace ? `${namespace.database}.${namespace.collection}` : "?";
  return new ConfigError(`mongodb: an event (${operation} of ${name}) came without key or time.`, {
    code: "mongodb.event-incomplete",
    fix: "Leave the event's own fields alone in `pipeline`.",
  });
}

export function codeOf(error: unknown): number | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "number"
    ? error.code
    : undefined;
}

/** Without the full stop that follows it. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\.$/, "").slice(0, 500);
}
