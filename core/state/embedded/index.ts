import type { StatePlace } from "../state.ts";
import { checkDatabase, openDatabase } from "./database.ts";
import { openLeases } from "./leases.ts";
import { countKeys, openStore } from "./store.ts";

/** State and leases in `${dir}/sluice.db`. Several processes of one machine may share it. */
export function openEmbeddedState({
  dir,
  project = "sluice",
}: {
  readonly dir: string;
  readonly project?: string;
}): StatePlace {
  const database = openDatabase(dir);
  return {
    scope: (connector) => ({
      state: openStore(database, { project, connector }),
      leases: openLeases(database, { project, connector }),
      count: async (prefix) => countKeys(database, { project, connector }, prefix),
    }),
    probe: async () => void database.version(),
    check: async () => [checkDatabase(database)],
    close: async () => database.close(),
  };
}
