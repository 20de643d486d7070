import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/**
 * What stands between clients and a server. `transaction` lends a server connection for the length
 * of a transaction, the last one given back first, and answers the start itself, as PgBouncer does.
 * `proxy` passes everything on, but gives each connection another process number, as some services do.
 */
export async function startPooler(
  kind: "transaction" | "proxy",
  to: { readonly port: number; readonly user: string; readonly database: string },
): Promise<{ readonly port: number; readonly stop: () => void }> {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    return socket;
  };
  const open = () => keep(connect(to.port, "127.0.0.1"));
  const pool = kind === "transaction" ? lending(open, to) : undefined;
  const server = createServer((client) => (pool ?? passing)(keep(client), open));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    port: address.port,
    stop: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

const keyData = Buffer.from([75, 0, 0, 0, 12]);
const ready = Buffer.from([90, 0, 0, 0, 5, 73]);

function passing(client: Socket, open: () => Socket): void {
  const backend = open();
  client.pipe(backend);
  backend.once("close", () => client.destroy());
  client.once("close", () => backend.destroy());
  backend.on("data", (data: Buffer) => {
    const at = data.indexOf(keyData);
    if (at >= 0) data.writeInt32BE(1_000_000, at + keyData.length);
    client.write(data);
  });
}

function lending(
  open: () => Socket,
  { user, database }: { readonly user: string; readonly database: string },
): (client: Socket) => void {
  const idle: Socket[] = [];
  const borrow = async (): Promise<Socket> => {
    const free = idle.pop();
    if (free) return free;
    const backend = open();
    const words = Buffer.from(`user\0${user}\0database\0${database}\0\0`);
    const start = Buffer.alloc(8);
    start.writeInt32BE(8 + words.length, 0);
    start.writeInt32BE(196_608, 4);
    backend.write(Buffer.concat([start, words]));
    let answer = Buffer.alloc(0);
    while (!answer.subarray(-6).equals(ready)) {
      const [data] = (await once(backend, "data")) as [Buffer];
      answer = Buffer.concat([answer, data]);
    }
    return backend;
  };
  return (client) => {
    let hasStarted = false;
    let backend: Socket | undefined;
    let work = Promise.resolve();
    const lend = async () => {
      const lent = await borrow();
      lent.on("data", (answer: Buffer) => {
        if (answer.subarray(-6).equals(ready)) {
          lent.removeAllListeners("data");
          backend = undefined;
          idle.push(lent);
        }
        client.write(answer);
      });
      return lent;
    };
    const forward = async (data: Buffer) => {
      if (hasStarted) (backend ??= await lend()).write(data);
      else {
        hasStarted = true;
        const authenticated = Buffer.from([82, 0, 0, 0, 8, 0, 0, 0, 0]);
        const key = Buffer.from([0, 15, 66, 64, 0, 0, 0, 7]);
        client.write(Buffer.concat([authenticated, keyData, key, ready]));
      }
    };
    client.on("data", (data: Buffer) => {
      work = work.then(() => forward(data));
    });
    client.once("close", () => backend?.destroy());
  };
}
