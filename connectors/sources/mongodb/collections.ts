import type { Document } from "mongodb";
import { nameOf, type Capture } from "./capture.ts";
import type { Namespace } from "./change.ts";
import type { Deployment } from "./deployment.ts";
import { codeOf } from "./problems.ts";

/** A collection that exists. */
export interface Existing {
  readonly name: string;
  readonly namespace: Namespace;
  /** `collection`, `view` or `timeseries`. */
  readonly type: string;
  /** Undefined where the user may not see them. */
  readonly options: Document | undefined;
}

const unauthorized = 13;

/** What is captured and exists, views and time series included, by name. */
export async function existing(
  { client }: Deployment,
  capture: Capture,
): Promise<readonly Existing[]> {
  const databases = capture.databases ?? (await databasesOf(client));
  const found: Existing[] = [];
  for (const database of databases)
    for (const one of await listed(client, database)) {
      const namespace = { database, collection: String(one["name"]) };
      if (!capture.includes(namespace)) continue;
      const { type = "collection", options } = one;
      found.push({ name: nameOf(namespace), namespace, type: String(type), options });
    }
  return found.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

async function databasesOf(client: Deployment["client"]): Promise<readonly string[]> {
  const command = { listDatabases: 1, nameOnly: true, authorizedDatabases: true };
  const { databases } = await client.db("admin").command(command);
  return (databases as readonly { readonly name: string }[]).map(({ name }) => name);
}

async function listed(client: Deployment["client"], database: string): Promise<Document[]> {
  const db = client.db(database);
  try {
    return await db.listCollections({}, { nameOnly: false }).toArray();
  } catch (error) {
    if (codeOf(error) !== unauthorized) throw error;
    const narrow = { nameOnly: true, authorizedCollections: true };
    return db.listCollections({}, narrow).toArray();
  }
}
