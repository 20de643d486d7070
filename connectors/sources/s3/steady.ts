import type { Readable } from "node:stream";
import { SluiceError } from "sluice";

/** So much of a body must come in each of these spans, or its end: a slow network is waited for, a trickle is not. */
const leastBytes = 64 * 1_024;
const spanMs = 60_000;

/** What comes of a body. Where too little does, or too little is taken up, the body is destroyed and this throws why. */
export async function* steadily(body: Readable): AsyncGenerator<Buffer> {
  let bytes = 0;
  const timer = setInterval(() => {
    if (bytes < leastBytes) body.destroy(tooSlow(bytes));
    bytes = 0;
  }, spanMs);
  try {
    for await (const chunk of body) {
      bytes += (chunk as Buffer).length;
      yield chunk as Buffer;
    }
  } finally {
    clearInterval(timer);
  }
}

function tooSlow(bytes: number): SluiceError {
  return new SluiceError(
    `s3: ${bytes} bytes of an object came in ${spanMs / 1_000} s, too few to wait for the rest.`,
    { code: "s3.too-slow", fix: "Check the network and the store; it is read again by itself." },
  );
}
