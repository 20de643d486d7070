import type { SQSClient } from "@aws-sdk/client-sqs";
import { clientOptions } from "../bucket.ts";
import type { Options } from "../config.ts";
import { sdk } from "../sdk.ts";

export interface Received {
  readonly id: string;
  readonly receipt: string;
  readonly body: string;
  readonly sentAt: number;
  /** How often it was received, this time included. */
  readonly receives: number;
}

/** An SQS queue, as far as we need it. What it throws are the SDK's errors. */
export interface Queue {
  /** Waits some seconds for messages, and hides those it gives, ten at most. */
  readonly receive: (run: { readonly signal: AbortSignal }) => Promise<readonly Received[]>;
  readonly remove: (receipts: readonly string[]) => Promise<void>;
  /** Hides messages for so long from now on; 0 shows them again. */
  readonly hide: (receipts: readonly string[], seconds: number) => Promise<void>;
  /** About how many messages there are to be received. */
  readonly waiting: (run: { readonly signal: AbortSignal }) => Promise<number>;
  readonly close: () => void;
}

const maxMessages = 10;

export async function openQueue(
  options: Options,
  notifications: NonNullable<Options["notifications"]>,
): Promise<Queue> {
  const sqs = await sdk.sqs();
  const { queueUrl: QueueUrl, visibilitySeconds } = notifications;
  const client: SQSClient = new sqs.SQSClient({
    ...clientOptions({ ...options, ...placeOf(QueueUrl, options) }),
    // Longer than a poll lasts.
    requestHandler: {
      connectionTimeout: 5_000,
      requestTimeout: 25_000,
      throwOnRequestTimeout: true,
      socketTimeout: 40_000,
    },
  });
  // A poll that was given up by a process that stopped may still take a message and hide it.
  const waitSeconds = Math.min(20, visibilitySeconds);
  // A request that `destroy` cuts off would be sent again, over a connection that nobody closes.
  const closed = new AbortController();
  const whileOpen = { abortSignal: closed.signal };
  const inTens = async (
    receipts: readonly string[],
    ask: (entries: { Id: string; ReceiptHandle: string }[]) => Promise<unknown>,
  ) => {
    const entries = receipts.map((ReceiptHandle, at) => ({ Id: String(at), ReceiptHandle }));
    for (let from = 0; from < entries.length; from += maxMessages)
      await ask(entries.slice(from, from + maxMessages));
  };

  return {
    receive: async ({ signal }) => {
      const command = new sqs.ReceiveMessageCommand({
        QueueUrl,
        MaxNumberOfMessages: maxMessages,
        WaitTimeSeconds: waitSeconds,
        VisibilityTimeout: visibilitySeconds,
        MessageSystemAttributeNames: ["ApproximateReceiveCount", "SentTimestamp"],
      });
      const { Messages = [] } = await client.send(command, { abortSignal: signal });
      return Messages.map(({ MessageId = "", ReceiptHandle = "", Body = "", Attributes }) => ({
        id: MessageId,
        receipt: ReceiptHandle,
        body: Body,
        sentAt: Number(Attributes?.SentTimestamp ?? Date.now()),
        receives: Number(Attributes?.ApproximateReceiveCount ?? 1),
      }));
    },
    remove: (receipts) =>
      inTens(receipts, (Entries) =>
        client.send(new sqs.DeleteMessageBatchCommand({ QueueUrl, Entries }), whileOpen),
      ),
    hide: (receipts, VisibilityTimeout) =>
      inTens(receipts, (some) => {
        const Entries = some.map((entry) => ({ ...entry, VisibilityTimeout }));
        const command = new sqs.ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries });
        return client.send(command, whileOpen);
      }),
    waiting: async ({ signal }) => {
      const AttributeNames = ["ApproximateNumberOfMessages" as const];
      const command = new sqs.GetQueueAttributesCommand({ QueueUrl, AttributeNames });
      const { Attributes } = await client.send(command, { abortSignal: signal });
      return Number(Attributes?.["ApproximateNumberOfMessages"] ?? 0);
    },
    close: () => {
      closed.abort();
      client.destroy();
    },
  };
}

/** A queue's URL says where it is: in a region of AWS, or at a service that speaks as SQS does. */
function placeOf(queueUrl: string, options: Options) {
  const { host, origin } = new URL(queueUrl);
  if (!/\.amazonaws\.com(\.cn)?$/.test(host)) return { endpoint: origin, region: options.region };
  const region = /[a-z]{2}(-[a-z]+)+-\d/.exec(host)?.[0];
  return { endpoint: undefined, region: region ?? options.region };
}
