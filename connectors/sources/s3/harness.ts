import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, request as ask, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
  type PutObjectCommandInput,
} from "@aws-sdk/client-s3";
import { isRecordChange, type JsonObject, type SluiceEvent } from "sluice";
import type { S3Server } from "../../../test/s3-servers.ts";

/** A bucket of its own, and hands at it that go past the source. */
export interface TestBucket {
  readonly name: string;
  readonly client: S3Client;
  /** What the source is configured with: it lists ten times a second. */
  readonly config: Record<string, unknown> & { readonly bucket: string };
  readonly put: (
    key: string,
    body: string | Buffer,
    more?: Partial<PutObjectCommandInput>,
  ) => Promise<{ readonly versionId: string | undefined; readonly etag: string }>;
  readonly remove: (key: string, versionId?: string) => Promise<void>;
  readonly keepVersions: () => Promise<void>;
  /** Nobody may read these keys, nor learn that they are absent. None given: all may be read again. */
  readonly forbid: (...keys: readonly string[]) => Promise<void>;
}

function connect(server: S3Server): S3Client {
  const { endpoint, accessKeyId, secretAccessKey } = server;
  const credentials = { accessKeyId, secretAccessKey };
  return new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials });
}

export async function makeBucket(server: S3Server): Promise<TestBucket> {
  const { endpoint, accessKeyId, secretAccessKey } = server;
  const client = connect(server);
  const Bucket = `sluice-${randomBytes(6).toString("hex")}`;
  await client.send(new CreateBucketCommand({ Bucket }));
  return {
    name: Bucket,
    client,
    config: {
      bucket: Bucket,
      endpoint,
      accessKeyId,
      secretAccessKey,
      everyMs: 100,
      idleEveryMs: 200,
    },
    put: async (key, body, more) => {
      // radosgw wants to know the length: a Buffer has one.
      const Body = Buffer.from(body);
      const command = new PutObjectCommand({ Bucket, Key: key, Body, ...more });
      const { VersionId, ETag = "" } = await client.send(command);
      return { versionId: VersionId, etag: ETag };
    },
    remove: async (key, versionId) => {
      await client.send(new DeleteObjectCommand({ Bucket, Key: key, VersionId: versionId }));
    },
    keepVersions: async () => {
      const VersioningConfiguration = { Status: "Enabled" as const };
      await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
    },
    forbid: async (...keys) => {
      const [Effect, all] = keys.length > 0 ? ["Deny", keys] : ["Allow", ["*"]];
      const Resource = all.map((key) => `arn:aws:s3:::${Bucket}/${key}`);
      const Statement = [{ Effect, Principal: { AWS: "*" }, Action: "s3:GetObject", Resource }];
      const Policy = JSON.stringify({ Version: "2012-10-17", Statement });
      await client.send(new PutBucketPolicyCommand({ Bucket, Policy }));
    },
  };
}

/** Stands between source and server: what it does with a request is up to the test. */
export interface Between {
  readonly endpoint: string;
  /** Requests seen, newest last: method, path with query, headers. */
  readonly seen: readonly IncomingMessage[];
  /** Asked for each request: the answer's status and body, or nothing to pass it on when that resolves. */
  intercept: (request: IncomingMessage) => Promise<
    | {
        readonly status: number;
        readonly body: string;
        readonly headers?: Readonly<Record<string, string>>;
      }
    | undefined
  >;
  /** Asked once an answer's head has come and the first half of its body was passed on. */
  midway: (request: IncomingMessage) => Promise<void>;
  /** What becomes of a piece of an answer's body; its length must stay. */
  alter: (request: IncomingMessage, chunk: Buffer) => Buffer;
  readonly close: () => Promise<void>;
}

export async function standBetween(server: S3Server): Promise<Between> {
  const { hostname, port } = new URL(server.endpoint);
  const seen: IncomingMessage[] = [];
  const listener = createServer((request, response) => void pass(request, response));
  const pass = async (request: IncomingMessage, response: ServerResponse) => {
    seen.push(request);
    const answer = await between.intercept(request);
    if (answer) {
      const { status, body, headers } = answer;
      const length = { "content-length": Buffer.byteLength(body) };
      return response.writeHead(status, { ...length, ...headers }).end(body);
    }
    const { method, url, headers } = request;
    const forward = ask({ hostname, port, method, path: url, headers });
    const answered = async (upstream: IncomingMessage) => {
      response.writeHead(upstream.statusCode ?? 500, upstream.headers);
      const half = Number(upstream.headers["content-length"] ?? 0) / 2;
      let passed = 0;
      for await (const chunk of upstream) {
        const before = passed;
        passed += (chunk as Buffer).length;
        response.write(between.alter(request, chunk as Buffer));
        if (before < half && passed >= half) await between.midway(request);
      }
      response.end();
    };
    forward.on("response", (upstream) => void answered(upstream).catch(() => response.destroy()));
    forward.on("error", () => response.destroy());
    response.on("close", () => forward.destroy());
    request.pipe(forward);
  };
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const between: Between = {
    endpoint: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    seen,
    intercept: async () => undefined,
    midway: async () => {},
    alter: (_request, chunk) => chunk,
    close: async () => {
      listener.closeAllConnections();
      listener.close();
      await once(listener, "close");
    },
  };
  return between;
}

function textOf({ text, contentBase64 }: JsonObject): string {
  if (typeof text === "string") return text;
  return Buffer.from(typeof contentBase64 === "string" ? contentBase64 : "", "base64").toString();
}

/** True when these are the texts of all objects. */
export function isHeldBy(
  events: readonly SluiceEvent[],
  expected: Readonly<Record<string, string>>,
): boolean {
  const held = heldBy(events);
  const entries = Object.entries(expected);
  return held.size === entries.length && entries.every(([key, text]) => held.get(key) === text);
}

/** The texts of all objects, as whoever gets these events must have them now. */
export function heldBy(events: readonly SluiceEvent[]): ReadonlyMap<string, string> {
  const held = new Map<string, { readonly sequence: string; readonly text?: string }>();
  for (const event of events.filter(isRecordChange)) {
    const { subject, sequence } = event;
    if (event.type === "dev.sluice.collection.cleared") {
      for (const [key, { sequence: version }] of held)
        if (version < event.data.below) held.delete(key);
    } else if ((held.get(subject)?.sequence ?? "") <= sequence) {
      const after = event.type === "dev.sluice.record.upserted" ? event.data.after : undefined;
      held.set(subject, { sequence, ...(after && { text: textOf(after) }) });
    }
  }
  return new Map([...held].flatMap(([key, { text }]) => (text === undefined ? [] : [[key, text]])));
}
