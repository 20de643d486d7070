import { randomBytes } from "node:crypto";
import {
  PutBucketNotificationConfigurationCommand,
  type NotificationConfiguration,
} from "@aws-sdk/client-s3";
import {
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  SQSClient,
  type Message,
} from "@aws-sdk/client-sqs";
import type { Ministack } from "../../../../test/s3-servers.ts";
import type { TestBucket } from "../harness.ts";

/** A queue that a bucket's events go to, and hands at it that go past the source. */
export interface TestQueue {
  readonly url: string;
  readonly send: (body: string) => Promise<void>;
  /** One message, hidden for so long; undefined if none comes within `waitSeconds`. */
  readonly take: (hiddenSeconds: number, waitSeconds?: number) => Promise<Message | undefined>;
  readonly release: (message: Message | undefined) => Promise<void>;
  readonly discard: (message: Message | undefined) => Promise<void>;
  readonly count: () => Promise<{ readonly waiting: number; readonly hidden: number }>;
}

/** How events come from bucket to queue: all of them are what AWS offers. */
export type Way = "direct" | "sns" | "eventbridge";

export async function makeQueue(
  server: Ministack,
  bucket: TestBucket,
  way: Way = "direct",
): Promise<TestQueue> {
  const { endpoint, accessKeyId, secretAccessKey } = server;
  const credentials = { accessKeyId, secretAccessKey };
  const sqs = new SQSClient({ endpoint, region: "us-east-1", credentials });
  const QueueName = `sluice-${randomBytes(6).toString("hex")}`;
  const { QueueUrl = "" } = await sqs.send(new CreateQueueCommand({ QueueName }));
  const QueueArn = `arn:aws:sqs:us-east-1:000000000000:${QueueName}`;
  const senders = ["s3", "sns", "events"].map((name) => `${name}.amazonaws.com`);
  const Statement = [
    {
      Effect: "Allow",
      Principal: { Service: senders },
      Action: "sqs:SendMessage",
      Resource: QueueArn,
    },
  ];
  const Policy = JSON.stringify({ Version: "2012-10-17", Statement });
  await sqs.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: { Policy } }));
  await bucket.client.send(
    new PutBucketNotificationConfigurationCommand({
      Bucket: bucket.name,
      NotificationConfiguration: await configured(endpoint, way, QueueArn),
    }),
  );

  return {
    url: QueueUrl,
    send: async (MessageBody) => {
      await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody }));
    },
    take: async (VisibilityTimeout, WaitTimeSeconds = 5) => {
      const command = new ReceiveMessageCommand({
        QueueUrl,
        VisibilityTimeout,
        WaitTimeSeconds,
        MaxNumberOfMessages: 1,
        MessageSystemAttributeNames: ["All"],
      });
      return (await sqs.send(command)).Messages?.[0];
    },
    release: async (message) => {
      const { ReceiptHandle } = message ?? {};
      const target = { QueueUrl, ReceiptHandle, VisibilityTimeout: 0 };
      await sqs.send(new ChangeMessageVisibilityCommand(target));
    },
    discard: async (message) => {
      const { ReceiptHandle } = message ?? {};
      await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
    },
    count: async () => {
      const command = new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["All"] });
      const { Attributes = {} } = await sqs.send(command);
      return {
        waiting: Number(Attributes["ApproximateNumberOfMessages"]),
        hidden: Number(Attributes["ApproximateNumberOfMessagesNotVisible"]),
      };
    },
  };
}

async function configured(
  endpoint: string,
  way: Way,
  QueueArn: string,
): Promise<NotificationConfiguration> {
  const Events = ["s3:ObjectCreated:*" as const, "s3:ObjectRemoved:*" as const];
  if (way === "direct") return { QueueConfigurations: [{ QueueArn, Events }] };
  const name = QueueArn.split(":").at(-1) ?? "";
  if (way === "sns") {
    const ask = (fields: Record<string, string>) => asRoot(endpoint, "sns", fields);
    const made = await ask({ Action: "CreateTopic", Name: name });
    const TopicArn = made.split("<TopicArn>")[1]?.split("<")[0] ?? "";
    await ask({ Action: "Subscribe", TopicArn, Protocol: "sqs", Endpoint: QueueArn });
    return { TopicConfigurations: [{ TopicArn, Events }] };
  }
  const ask = (action: string, body: object) =>
    asRoot(endpoint, "events", JSON.stringify(body), {
      "content-type": "application/x-amz-json-1.1",
      "x-amz-target": `AWSEvents.${action}`,
    });
  await ask("PutRule", { Name: name, EventPattern: JSON.stringify({ source: ["aws.s3"] }) });
  await ask("PutTargets", { Rule: name, Targets: [{ Id: "queue", Arn: QueueArn }] });
  return { EventBridgeConfiguration: {} };
}

/** Asks a service whose client we do not have: the root key `test` is asked for no signature. */
async function asRoot(
  endpoint: string,
  service: string,
  body: Record<string, string> | string,
  headers: Record<string, string> = {},
): Promise<string> {
  const credential = `test/20260101/us-east-1/${service}/aws4_request`;
  const authorization = `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=host, Signature=0`;
  const response = await fetch(endpoint, {
    method: "POST",
    headers: { authorization, ...headers },
    body: typeof body === "string" ? body : new URLSearchParams({ Version: "2010-03-31", ...body }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${service} answers ${response.status}: ${text}`);
  return text;
}
