import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Answer } from "./call.ts";
import { openDatabase, type Database } from "./database.ts";
import { answer, isControl, type Request } from "./routes.ts";

/** Answers requests from a database, all at once or as an index that is behind with its own work. */
export interface Answering {
  readonly answer: (address: string, request: Request) => Answer;
  readonly close: () => void;
}

/**
 * Reads show the writes of `delayMs` ago and nothing newer, whole and in order, and tell the log
 * position they have seen: what Pinecone's are like. A second database beside the first holds that.
 */
export function lagging(database: Database, dir: string, delayMs: () => number): Answering {
  const place = join(dir, "visible");
  rmSync(place, { recursive: true, force: true });
  const visible = openDatabase(place, { readOnly: false });
  const waiting: { readonly due: number; readonly apply: () => void }[] = [];

  function catchUp(): void {
    const now = performance.now();
    for (let [next] = waiting; next !== undefined && next.due <= now; [next] = waiting) {
      waiting.shift();
      next.apply();
    }
  }

  return {
    answer(address, request) {
      catchUp();
      if (isRead(request)) return answer(visible, address, request);
      const done = answer(database, address, request);
      const apply = () => void answer(visible, address, request);
      if (isControl(request.path)) apply();
      else waiting.push({ due: performance.now() + delayMs(), apply });
      return done;
    },
    close: () => visible.close(),
  };
}

function isRead({ method, path }: Request): boolean {
  if (isControl(path)) return false;
  return (
    method === "GET" || /\/(query|vectors\/fetch_by_metadata|describe_index_stats)$/.test(path)
  );
}
