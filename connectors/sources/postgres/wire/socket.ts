import { Socket, type OnReadOpts, type SocketConstructorOpts } from "node:net";
import type { Duplex } from "node:stream";

const readBytes = 128 * 1_024;

/** Who gets what a socket of ours reads; the driver, until someone takes over. */
const readers = new WeakMap<Duplex, { read: (chunk: Buffer) => void }>();

/**
 * A socket that reads into one buffer, again and again: an ordinary one makes a buffer of each read,
 * and collecting them costs as much as all our reading. `read` is called with views of it, valid
 * during the call.
 */
export function frugalSocket(): Socket {
  const reader = { read: (chunk: Buffer): void => void socket.emit("data", Buffer.from(chunk)) };
  // The constructor's types do not know `onread`, which its documentation has.
  const options: SocketConstructorOpts & { readonly onread: OnReadOpts } = {
    onread: {
      buffer: Buffer.allocUnsafeSlow(readBytes),
      callback: (length, { buffer, byteOffset }) => {
        reader.read(Buffer.from(buffer, byteOffset, length));
        return true;
      },
    },
  };
  const socket: Socket = new Socket(options);
  readers.set(socket, reader);
  return socket;
}

/**
 * Gives `read` all that arrives from now on, instead of the driver. Returns what ends that: later
 * bytes are dropped.
 */
export function takeOver(socket: Duplex, read: (chunk: Buffer) => void): () => void {
  socket.removeAllListeners("data");
  const frugal = readers.get(socket);
  if (frugal === undefined) {
    socket.on("data", read);
    return () => void socket.off("data", read);
  }
  frugal.read = read;
  return () => {
    frugal.read = () => {};
  };
}
