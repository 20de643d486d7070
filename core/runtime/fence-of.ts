import type { Fence } from "../state/state.ts";

/** A connector's fence where those of all connectors meet: a lease's name is its own connector's only. */
export function fenceOf(connector: string, { lease, token }: Fence): Fence {
  return { lease: `${connector}/${lease}`, token };
}
