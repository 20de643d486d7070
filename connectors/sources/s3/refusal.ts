import { RetryableError, SluiceError } from "sluice";

/** What an error of the AWS SDK says. Its names come from the other side, and not every store uses them. */
export interface Refusal {
  /** `NoSuchKey`, `AccessDenied`, …; for errors that are no answer the system's code or the class's name. */
  readonly name: string;
  /** Of the HTTP answer; undefined when there was none. */
  readonly status: number | undefined;
}

export function refusalOf(error: unknown): Refusal {
  const {
    name = "",
    code,
    $metadata,
  } = error as {
    name?: string;
    code?: string;
    $metadata?: { httpStatusCode?: number };
  };
  // The system's own errors are all called `Error`: ECONNREFUSED, ENOTFOUND and the like say more.
  const isOfSystem = name === "Error" && typeof code === "string";
  return { name: isOfSystem ? code : name, status: $metadata?.httpStatusCode };
}

/** Errors that are about the credentials, whatever was asked for. */
const aboutKeys = new Set([
  "InvalidAccessKeyId",
  "SignatureDoesNotMatch",
  "ExpiredToken",
  "ExpiredTokenException",
  "InvalidToken",
  "InvalidClientTokenId",
  "TokenRefreshRequired",
  "RequestTimeTooSkewed",
  "AuthFailure",
  "UnrecognizedClientException",
]);

const throttlings = new Set([
  "SlowDown",
  "Throttling",
  "ThrottlingException",
  "RequestThrottled",
  "RequestLimitExceeded",
  "TooManyRequestsException",
  "OverLimit",
]);

/** True for what is wrong with one object only; all else is wrong with the bucket, or with the way to it. */
export function isAboutObject({ name, status }: Refusal): boolean {
  if (aboutKeys.has(name) || throttlings.has(name) || name === "NoSuchBucket") return false;
  return status !== undefined && status >= 400 && status < 500 && status !== 429 && status !== 408;
}

/** True for what does not pass by itself. */
export function isRefused(error: unknown): boolean {
  return error instanceof RetryableError && error.reason === "refused";
}

/** The error to throw for one of the SDK's, about a bucket or a queue: `what`, as it stands in a message. */
export function unavailable(what: string, cause: unknown): SluiceError {
  if (cause instanceof SluiceError) return cause;
  const { name, status } = refusalOf(cause);
  const refused = (code: string, problem: string, fix: string) =>
    new RetryableError(`s3: ${problem}.`, { code, reason: "refused", fix, cause });

  if (name === "NoSuchBucket" || name === "NoSuchUpload")
    return refused(
      "s3.bucket-missing",
      `${what} does not exist; what was in it is kept`,
      "Create it, or mend `bucket`, `region` and `endpoint`. If it is gone for good, remove the connector.",
    );
  if (name === "QueueDoesNotExist" || name === "AWS.SimpleQueueService.NonExistentQueue")
    return refused(
      "s3.queue-missing",
      `${what} does not exist`,
      "Create it, or mend `notifications.queueUrl`, `region` and `endpoint`.",
    );
  if (name === "CredentialsProviderError" || name === "TokenProviderError")
    return refused(
      "s3.no-credentials",
      "the AWS SDK finds no credentials",
      "Give it some: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, a role, or `accessKeyId` and `secretAccessKey`.",
    );
  if (status === undefined && cause instanceof Error && cause.message === "Region is missing")
    return refused(
      "s3.no-region",
      "the AWS SDK finds no region",
      "Set `region`, or AWS_REGION; for a store other than AWS, `endpoint`.",
    );
  if (aboutKeys.has(name) || status === 401)
    return refused(
      "s3.unauthorized",
      `the credentials are refused (${name}) by ${what}`,
      name === "RequestTimeTooSkewed"
        ? "Set this machine's clock: it is too far from the store's."
        : "Mend or renew the access key, secret or session token.",
    );
  if (throttlings.has(name) || status === 429)
    return new RetryableError(`s3: ${what} asks us to slow down.`, {
      code: "s3.throttled",
      reason: "throttled",
      ...retryAfterOf(cause),
      cause,
    });
  if (status === 403)
    return refused(
      "s3.forbidden",
      `access to ${what} is denied`,
      "Allow s3:ListBucket on the bucket and s3:GetObject on its objects; for a queue sqs:ReceiveMessage, sqs:DeleteMessage and sqs:ChangeMessageVisibility.",
    );
  if (status !== undefined && status >= 300 && status < 500)
    return refused(
      "s3.refused",
      `${what} refuses the request (${status} ${name})`,
      "Check `bucket`, `region`, `endpoint` and `pathStyle`.",
    );
  return new RetryableError(`s3: ${what} does not answer as it should (${status ?? name}).`, {
    code: "s3.unreachable",
    reason: "unreachable",
    fix: "Check the endpoint and the network; everything goes on by itself then.",
    cause,
  });
}

/** The error to throw for an answer that no store gives: a proxy's page, a console. What it says is not believed. */
export function foreign(what: string): SluiceError {
  return new RetryableError(`s3: ${what} is answered for by something that does not speak S3.`, {
    code: "s3.unreachable",
    reason: "unreachable",
    fix: "Check that `endpoint` is the store's API, not its console, and that no proxy stands before it.",
  });
}

function retryAfterOf(error: unknown): { readonly retryAfterMs?: number } {
  const { $response } = error as { $response?: { headers?: Readonly<Record<string, string>> } };
  const seconds = Number($response?.headers?.["retry-after"] ?? Number.NaN);
  return seconds >= 0 ? { retryAfterMs: Math.min(seconds, 300) * 1_000 } : {};
}
