import { parentPort } from "node:worker_threads";
import { limitUnpacking } from "./limit-unpacking.ts";
import type { Answer, Limits, Task } from "./office-thread.ts";

// One task in, one answer out, in order. The libraries are loaded with the first file that needs them.
parentPort?.on("message", (task: Task) => void answer(task));

async function answer({ kind, bytes, limits }: Task): Promise<void> {
  try {
    post(kind === "pdf" ? await pdf(bytes, limits) : await docx(bytes, limits));
  } catch (error) {
    post({ kind: "damaged", why: reasonOf(error) });
  }
}

async function pdf(bytes: Uint8Array, limits: Limits): Promise<Answer> {
  const { maxInflatedBytes } = limits;
  const limit = limitUnpacking(maxInflatedBytes);
  try {
    const answer = await pagesOf(bytes, limits);
    return limit.isExceeded() ? unpacked(maxInflatedBytes) : answer;
  } catch (error) {
    if (limit.isExceeded()) return unpacked(maxInflatedBytes);
    throw error;
  } finally {
    limit.end();
  }
}

async function pagesOf(bytes: Uint8Array, { maxPages }: Limits): Promise<Answer> {
  const { extractText, getDocumentProxy, getMeta } = await import("unpdf");
  const document = await getDocumentProxy(new Uint8Array(bytes));
  if (document.numPages > maxPages)
    return { kind: "too-large", what: `${document.numPages} pages`, option: "maxPages" };
  const { text } = await extractText(document, { mergePages: false });
  const { info } = await getMeta(document);
  const title: unknown = info["Title"];
  await document.destroy();
  return { kind: "pdf", pages: text, title: typeof title === "string" ? title : undefined };
}

async function docx(bytes: Uint8Array, { maxInflatedBytes }: Limits): Promise<Answer> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const inflated = await inflatedBytes(buffer, maxInflatedBytes);
  if (inflated > maxInflatedBytes) return unpacked(maxInflatedBytes);
  const { default: mammoth } = await import("mammoth");
  // Pictures are not read, let alone unpacked.
  const convertImage = mammoth.images.imgElement(async () => ({ src: "" }));
  const { value } = await mammoth.convertToHtml({ buffer }, { convertImage });
  return { kind: "docx", html: value };
}

function unpacked(most: number): Answer {
  const what = `parts that unpack to more than ${most} bytes`;
  return { kind: "too-large", what, option: "maxInflatedBytes" };
}

/**
 * What a ZIP archive unpacks to, by unpacking it; as soon as it is more than `most`, that much. All of
 * it: which of its files are texts is up to the files themselves.
 */
async function inflatedBytes(buffer: Buffer, most: number): Promise<number> {
  const { fromBuffer } = await import("yauzl");
  return new Promise((resolve, reject) => {
    fromBuffer(buffer, { lazyEntries: true }, (error, archive) => {
      if (error) return reject(error);
      let total = 0;
      archive.on("error", reject);
      archive.on("end", () => resolve(total));
      archive.on("entry", (entry) => {
        archive.openReadStream(entry, (error, stream) => {
          if (error) return reject(error);
          stream.on("error", reject);
          stream.on("data", (chunk: Buffer) => {
            total += chunk.length;
            if (total <= most) return;
            stream.destroy();
            resolve(total);
          });
          stream.on("end", () => archive.readEntry());
        });
      });
      archive.readEntry();
    });
  });
}

/** What is wrong with a file, in the words of the library that read it. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "it is damaged";
  if (error.name === "PasswordException") return "it is protected by a password";
  return error.message.split("\n", 1)[0]?.slice(0, 200).replace(/\.$/, "") || "it is damaged";
}

function post(message: Answer): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort?.postMessage(message);
}
