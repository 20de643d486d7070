import { TransformStream, type DecompressionStream } from "node:stream/web";

/**
 * From now on this thread cannot unpack anything to more than about `most` bytes: who tries gets a
 * `RangeError`. A heap limit does not hold for bytes, and the library for PDF has no limit of its own: it
 * unpacks a stream by the platform's `DecompressionStream`, or by itself into one array that it doubles.
 */
export function limitUnpacking(most: number): {
  /** Somebody tried. A library may have caught what it got, and gone on without. */
  readonly isExceeded: () => boolean;
  /** Takes the limit off. */
  readonly end: () => void;
} {
  const { Uint8Array: array, DecompressionStream: decompression } = globalThis;
  let isExceeded = false;
  const refuse = (): never => {
    isExceeded = true;
    throw new RangeError(`more than ${most} bytes are not wanted`);
  };
  const watchedArray = new Proxy(array, {
    construct: (target, args: unknown[], newTarget) => {
      const [length] = args;
      if (typeof length === "number" && length >= 2 * most) refuse();
      const made: unknown = Reflect.construct(
        target,
        args,
        newTarget === watchedArray ? target : newTarget,
      );
      return made as Uint8Array<ArrayBuffer>;
    },
  });
  const watchedDecompression = new Proxy(decompression, {
    construct: (target, args: ConstructorParameters<typeof DecompressionStream>) => {
      const { readable, writable } = new target(...args);
      let bytes = 0;
      const counter = new TransformStream<Uint8Array, Uint8Array>({
        transform: (chunk, controller) => {
          bytes += chunk.byteLength;
          if (bytes > most) refuse();
          controller.enqueue(chunk);
        },
      });
      return { readable: readable.pipeThrough(counter), writable };
    },
  });
  Object.assign(globalThis, {
    Uint8Array: watchedArray,
    DecompressionStream: watchedDecompression,
  });
  return {
    isExceeded: () => isExceeded,
    end: () =>
      void Object.assign(globalThis, { Uint8Array: array, DecompressionStream: decompression }),
  };
}
