import { parentPort } from "node:worker_threads";
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

async function pdf(bytes: Uint8Array, { maxPages }: Limits): Promise<Answer> {
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
  if (inflated > maxInflatedBytes) {
    const what = `texts that unpack to more than ${maxInflatedBytes} bytes`;
    return { kind: "too-large", what, option: "maxInflatedBytes" };
  }
  const { default: mammoth } = await import("mammoth");
  // Pictures are not read, let alone unpacked.
  const convertImage = mammoth.images.imgElement(async () => ({ src: "" }));
  const { value } = await mammoth.convertToHtml({ buffer }, { convertImage });
  return { kind: "docx", html: value };
}

/** What the texts of a ZIP archive unpack to, by unpacking them; as soon as it is more than `most`, that much. */
async function inflatedBytes(buffer: Buffer, most: number): Promise<number> {
  const { fromBuffer } = await import("yauzl");
  return new Promise((resolve, reject) => {
    fromBuffer(buffer, { lazyEntries: true }, (error, archive) => {
      if (error) return reject(error);
      let total = 0;
      archive.on("error", reject);
      archive.on("end", () => resolve(total));
      archive.on("entry", (entry) => {
        if (!/\.(xml|rels)$/i.test(entry.fileName)) return archive.readEntry();
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
