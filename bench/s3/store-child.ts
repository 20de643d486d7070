import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A bucket that does not exist: as many keys as it is told, listed and read without a disk. */
const count = Number(process.argv[2]);
const body = Buffer.from(`A short note about nothing in particular.\n`.repeat(25)).subarray(
  0,
  1_000,
);
const etag = `"${createHash("md5").update(body).digest("hex")}"`;
const modified = new Date("2026-01-02T03:04:05Z");
const pageSize = 1_000;

const keyAt = (at: number) =>
  `docs/${String(Math.floor(at / 1_000)).padStart(5, "0")}/note-${String(at).padStart(8, "0")}.txt`;
const numberOf = (key: string) => Number(/(\d+)\.txt$/.exec(key)?.[1] ?? -1);

function page(from: number): string {
  const to = Math.min(from + pageSize, count);
  let contents = "";
  for (let at = from; at < to; at++)
    contents += `<Contents><Key>${keyAt(at)}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;${etag.slice(1, -1)}&quot;</ETag><Size>${body.length}</Size><StorageClass>STANDARD</StorageClass></Contents>`;
  const more = to < count;
  const next = more ? `<NextContinuationToken>${keyAt(to - 1)}</NextContinuationToken>` : "";
  return `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bench</Name><EncodingType>url</EncodingType><KeyCount>${to - from}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>${more}</IsTruncated>${next}${contents}</ListBucketResult>`;
}

const server = createServer((request, response) => {
  const url = new URL(request.url ?? "/", "http://bench");
  if (url.searchParams.has("list-type")) {
    const behind =
      url.searchParams.get("continuation-token") ?? url.searchParams.get("start-after");
    const text = page(behind === null ? 0 : numberOf(behind) + 1);
    response.writeHead(200, { "content-type": "application/xml" }).end(text);
    return;
  }
  response
    .writeHead(200, {
      "content-type": "text/plain",
      "content-length": body.length,
      etag,
      "last-modified": modified.toUTCString(),
    })
    .end(body);
});
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
process.stdin.resume().once("end", () => process.exit(0));
