import { startLocalPinecone } from "../../connectors/sinks/pinecone/local/server.ts";

interface Held {
  readonly id: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** Everything an index in a folder holds, ordered by id: read past the services, which may run. */
export async function indexNow(dir: string, index: string): Promise<readonly Held[]> {
  const server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir });
  try {
    const get = async (path: string): Promise<unknown> => {
      const headers = { "api-key": "any" };
      return (await fetch(`${server.url}/i/${index}/vectors/${path}`, { headers })).json();
    };
    const found: Held[] = [];
    for (let token: string | undefined = ""; token !== undefined;) {
      const page = (await get(`list?limit=90&paginationToken=${token}`)) as {
        readonly vectors: readonly { readonly id: string }[];
        readonly pagination?: { readonly next?: string };
      };
      const ids = page.vectors.map(({ id }) => `ids=${encodeURIComponent(id)}`).join("&");
      if (ids !== "") {
        const { vectors } = (await get(`fetch?${ids}`)) as {
          readonly vectors: Readonly<Record<string, Held>>;
        };
        found.push(...Object.values(vectors));
      }
      token = page.pagination?.next;
    }
    return found.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  } finally {
    await server.close();
  }
}
