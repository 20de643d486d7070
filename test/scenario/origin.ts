import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import type { S3Server } from "../s3-servers.ts";

/** Where the domain's documents are. */
export interface Origin {
  readonly put: (name: string, text: string) => Promise<void>;
  readonly remove: (name: string) => Promise<void>;
  /** What the configs need to know of it. */
  readonly env: Readonly<Record<string, string>>;
}

export async function openFolder(dir: string): Promise<Origin> {
  await mkdir(dir, { recursive: true });
  return {
    put: (name, text) => writeFile(join(dir, name), text),
    remove: (name) => rm(join(dir, name)),
    env: { GENAI_DOCUMENTS: dir },
  };
}

export async function openBucket(server: S3Server, bucket: string): Promise<Origin> {
  const { endpoint, accessKeyId, secretAccessKey } = server;
  const client = new S3Client({
    endpoint,
    forcePathStyle: true,
    region: "us-east-1",
    credentials: { accessKeyId, secretAccessKey },
  });
  // The same name each time, for ids have it: what an earlier form left in it goes.
  await client.send(new CreateBucketCommand({ Bucket: bucket })).catch(() => undefined); // it is there
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
  for (const { Key } of Contents)
    await client.send(new DeleteObjectCommand({ Bucket: bucket, Key }));
  return {
    put: async (Key, Body) => {
      const ContentType = "text/markdown";
      await client.send(new PutObjectCommand({ Bucket: bucket, Key, Body, ContentType }));
    },
    remove: async (Key) => {
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key }));
    },
    env: {
      GENAI_BUCKET: bucket,
      S3_ENDPOINT: endpoint,
      S3_KEY: accessKeyId,
      S3_SECRET: secretAccessKey,
    },
  };
}
