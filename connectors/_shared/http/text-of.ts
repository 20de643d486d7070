/**
 * What a service says, as text. Throws `RangeError` as soon as it is more than `maxBytes`: an answer may have no end,
 * and what comes within the time it may take would not fit into memory.
 */
export async function textOf({ body }: Response, maxBytes: number): Promise<string> {
  if (!body) return "";
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  // Leaving early cancels it.
  for await (const part of body as ReadableStream<Uint8Array>) {
    bytes += part.length;
    if (bytes > maxBytes) throw new RangeError(`more than ${maxBytes} bytes`);
    text += decoder.decode(part, { stream: true });
  }
  return text + decoder.decode();
}
