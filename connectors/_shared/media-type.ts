import { posix } from "node:path";

const byExtension = new Map(
  Object.entries({
    css: "text/css",
    csv: "text/csv",
    doc: "application/msword",
    docx: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    eml: "message/rfc822",
    epub: "application/epub+zip",
    gif: "image/gif",
    htm: "text/html",
    html: "text/html",
    jpeg: "image/jpeg",
    jpg: "image/jpeg",
    js: "text/javascript",
    json: "application/json",
    jsonl: "application/x-ndjson",
    log: "text/plain",
    markdown: "text/markdown",
    md: "text/markdown",
    mdx: "text/markdown",
    mjs: "text/javascript",
    ndjson: "application/x-ndjson",
    odt: "application/vnd.oasis.opendocument.text",
    pdf: "application/pdf",
    png: "image/png",
    pptx: "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    rst: "text/x-rst",
    rtf: "application/rtf",
    svg: "image/svg+xml",
    text: "text/plain",
    toml: "application/toml",
    ts: "text/x-typescript",
    tsv: "text/tab-separated-values",
    txt: "text/plain",
    xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    xml: "application/xml",
    yaml: "application/yaml",
    yml: "application/yaml",
  }),
);

/** By the extension alone, in any case; `application/octet-stream` for those we do not know. */
export function mediaTypeOf(path: string): string {
  const extension = posix.extname(path).slice(1).toLowerCase();
  return byExtension.get(extension) ?? "application/octet-stream";
}

/** True for types whose content is text, so that it may travel as such. */
export function isTextual(mediaType: string): boolean {
  return /^text\/|^message\/|[/+](?:json|xml|yaml|toml|x-ndjson)$/.test(mediaType);
}
