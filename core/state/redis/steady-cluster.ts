import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { Cluster, type ClusterNode, type ClusterOptions } from "ioredis";

/**
 * ioredis' client of a cluster, with three of its habits mended. After `disconnect` it may keep commands for
 * ever: here they are refused, as the client of one server does. A connection that ends late takes a new one
 * to the same server with it: here `connect` waits until the old ones have ended. And where the cluster is
 * down when it connects, its `connect` never settles, though it connects later: this one does.
 */
export class SteadyCluster extends Cluster {
  readonly #nodes: ClusterNode[];
  #isOver = false;
  #left: Promise<unknown> = Promise.resolve();

  /** `options` must say `lazyConnect`. */
  constructor(nodes: ClusterNode[], options: ClusterOptions & { readonly lazyConnect: true }) {
    super(nodes, options);
    this.#nodes = nodes;
  }

  override async connect(): Promise<void> {
    await this.#left;
    this.#isOver = false;
    const settled = new AbortController();
    const heard = ["ready", "end"].map((event) => once(this, event, settled));
    try {
      await Promise.race([super.connect(), ...heard]);
    } finally {
      settled.abort();
      await Promise.allSettled(heard);
    }
  }

  override disconnect(reconnect = false): void {
    this.#isOver ||= !reconnect;
    const leaving = this.nodes().filter(({ status }) => status !== "end");
    this.#left = Promise.all([
      this.#left,
      ...leaving.map((node) => new Promise<void>((resolve) => node.once("end", () => resolve()))),
    ]).then(
      () => turn(), // ioredis tells of an end a tick later
    );
    super.disconnect(reconnect);
  }

  override sendCommand(...sent: Parameters<Cluster["sendCommand"]>): unknown {
    const [command] = sent;
    if (!this.#isOver) return super.sendCommand(...sent);
    command.reject(new Error("Connection is closed."));
    return command.promise;
  }

  override duplicate(nodes: ClusterNode[] = [], options: ClusterOptions = {}): SteadyCluster {
    const own = nodes.length > 0 ? nodes : this.#nodes;
    return new SteadyCluster(own, { ...this.options, ...options, lazyConnect: true });
  }
}
