import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import type { Outage } from "sluice/testing";

/** What stands between clients and a server of this machine, and passes everything on while all is well. */
export interface Line {
  readonly port: number;
  /** Connections break, and no other is taken. */
  readonly outage: Outage;
  /** Connections stay and are taken, and nothing comes through. Those break in the end. */
  readonly stall: Outage;
  readonly stop: () => void;
}

/** Lays a line to a port of 127.0.0.1. */
export async function startLine(toPort: number): Promise<Line> {
  let trouble: "outage" | "stall" | undefined;
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => sockets.delete(socket));
    return socket;
  };
  const cut = () => sockets.forEach((socket) => socket.destroy());
  const server = createServer({ noDelay: true }, (socket) => {
    const client = keep(socket);
    if (trouble === "outage") return void client.destroy();
    if (trouble === "stall") return;
    const backend = keep(connect({ port: toPort, host: "127.0.0.1", noDelay: true }));
    client.pipe(backend).pipe(client);
    backend.once("close", () => client.destroy());
    client.once("close", () => backend.destroy());
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const end = () => {
    trouble = undefined;
    cut();
  };
  return {
    port: (server.address() as AddressInfo).port, // as of every server that listens on a port
    outage: {
      begin: () => {
        trouble = "outage";
        cut();
      },
      end,
    },
    stall: {
      begin: () => {
        trouble = "stall";
        for (const socket of sockets) socket.unpipe().pause();
      },
      end,
    },
    stop: () => {
      server.close();
      cut();
    },
  };
}
