/** What this process sent to a vector API. */
export interface Traffic {
  readonly requests: number;
  readonly bytes: number;
  /** Upserted, each time one was. */
  readonly written: number;
  readonly deleted: number;
}

/** Listens to this process's `fetch`. `taken` gives what was sent since the last call. */
export function openTraffic(): { readonly taken: () => Traffic; readonly close: () => void } {
  const real = globalThis.fetch;
  const none: Traffic = { requests: 0, bytes: 0, written: 0, deleted: 0 };
  let sum = none;
  globalThis.fetch = async (input, init) => {
    const path = new URL(input instanceof Request ? input.url : input).pathname;
    if (path.startsWith("/i/")) {
      const text = textOf(init?.body);
      const { vectors = [], ids = [] } = (text === "" ? {} : JSON.parse(text)) as Sent;
      sum = {
        requests: sum.requests + 1,
        bytes: sum.bytes + Buffer.byteLength(text),
        written: sum.written + vectors.length,
        deleted: sum.deleted + ids.length,
      };
    }
    return await real(input, init);
  };
  return {
    taken() {
      const taken = sum;
      sum = none;
      return taken;
    },
    close: () => void (globalThis.fetch = real),
  };
}

interface Sent {
  readonly vectors?: readonly object[];
  readonly ids?: readonly string[];
}

function textOf(body: RequestInit["body"]): string {
  if (body instanceof Uint8Array) return Buffer.from(body).toString();
  return typeof body === "string" ? body : "";
}
