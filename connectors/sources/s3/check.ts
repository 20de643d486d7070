import { SluiceError, type Context, type Finding } from "sluice";
import { openBucket } from "./bucket.ts";
import type { Options } from "./config.ts";
import { openQueue } from "./notifications/queue.ts";
import { refusalOf, unavailable } from "./refusal.ts";
import { select } from "./select.ts";

/** Online: may the bucket be listed and its objects be read; is the queue there? Receives no message. */
export async function check({
  config,
  signal,
}: Pick<Context<Options>, "config" | "signal">): Promise<readonly Finding[]> {
  const findings = [await attempt(() => checkBucket(config, signal))];
  const { notifications } = config;
  if (notifications)
    findings.push(
      await attempt(async () => {
        const queue = await openQueue(config, notifications);
        try {
          const waiting = await queue.waiting({ signal });
          const message = `s3: queue ${notifications.queueUrl} answers; about ${waiting} messages wait.`;
          return { severity: "ok", code: "s3.queue", message };
        } catch (error) {
          throw unavailable(`queue ${notifications.queueUrl}`, error);
        } finally {
          queue.close();
        }
      }),
    );
  return findings;
}

async function checkBucket(config: Options, signal: AbortSignal): Promise<Finding> {
  const bucket = await openBucket(config);
  const what = `bucket "${config.bucket}"`;
  try {
    const { prefixes, wants } = select(config);
    for await (const page of bucket.list({ prefix: prefixes[0] ?? "", after: "" }, { signal })) {
      const object = page.find(({ key }) => wants(key));
      if (object === undefined) break;
      try {
        const answer = await bucket.get(object.key, { signal });
        (answer.Body as unknown as NodeJS.ReadableStream & { destroy(): void }).destroy();
      } catch (error) {
        if (refusalOf(error).status !== 403) throw unavailable(what, error);
        const message = `s3: ${what} may be listed, but "${object.key}" not be read.`;
        const fix = "Allow s3:GetObject on its objects, and kms:Decrypt on their key.";
        return { severity: "error", code: "s3.forbidden", message, fix };
      }
      break;
    }
    return { severity: "ok", code: "s3.bucket", message: `s3: ${what} may be listed and read.` };
  } finally {
    bucket.close();
  }
}

async function attempt(work: () => Promise<Finding>): Promise<Finding> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    const { code, message, fix } = error;
    return { severity: "error", code, message, ...(fix !== undefined && { fix }) };
  }
}
