import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** An address that leads to one server and then to another, as a name or a load balancer in front of a primary does. */
export interface ReplicaSwitch {
  readonly url: string;
  /** New connections lead to `port`. Those that are open stay, as they do behind a name. */
  readonly leadTo: (port: number) => void;
  readonly stop: () => Promise<void>;
}

export async function startReplicaSwitch(port: number): Promise<ReplicaSwitch> {
  let target = port;
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(target, "127.0.0.1");
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(from);
      from.on("error", () => from.destroy()); // its other half ends with it
      from.once("close", () => (open.delete(from), to.destroy()));
      from.pipe(to);
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: `redis://127.0.0.1:${address.port}`,
    leadTo: (port) => (target = port),
    stop: async () => {
      server.close();
      for (const socket of open) socket.destroy();
      await once(server, "close");
    },
  };
}
