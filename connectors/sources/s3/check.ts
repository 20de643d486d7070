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

/** Pages of each prefix in which an object to read is looked for. */
const maxPages = 10;

async function checkBucket(config: Options, signal: AbortSignal): Promise<Finding> {
  const bucket = await openBucket(config);
  const what = `bucket "${config.bucket}"`;
  const { prefixes, wants } = select(config);
  let listed = 0;
  let wanted: string | undefined;
  try {
    // Every one of them: rights may hang on the prefix.
    for (const prefix of prefixes) {
      let pages = 0;
      for await (const page of bucket.list({ prefix, after: "" }, { signal })) {
        listed += page.length;
        wanted ??= page.find(({ key }) => wants(key))?.key;
        if (wanted !== undefined || ++pages === maxPages) break;
      }
    }
    if (wanted === undefined) {
      const message = `s3: ${what} may be listed, but none of ${listed} listed objects is wanted, so none was read.`;
      const fix =
        "Look at `prefixes`, `suffixes`, `include` and `exclude`: keys do not begin with a slash. Nothing to do if the objects are yet to come.";
      return { severity: "warning", code: "s3.nothing-wanted", message, fix };
    }
    const answer = await bucket.get(wanted, { signal });
    (answer.Body as unknown as NodeJS.ReadableStream & { destroy(): void }).destroy();
  } catch (error) {
    if (wanted === undefined || refusalOf(error).status !== 403) throw unavailable(what, error);
    const message = `s3: ${what} may be listed, but "${wanted}" not be read.`;
    const fix = "Allow s3:GetObject on its objects, and kms:Decrypt on their key.";
    return { severity: "error", code: "s3.forbidden", message, fix };
  } finally {
    bucket.close();
  }
  return { severity: "ok", code: "s3.bucket", message: `s3: ${what} may be listed and read.` };
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
