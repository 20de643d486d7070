import type { GivenUp } from "../connector.ts";
import type { DeadLetters } from "../queue/queue.ts";
import type { Producer } from "./producers.ts";

/** Which questions, by their correlation, one of these connectors keeps as dead letters. */
export async function givenUp(
  correlationids: readonly string[],
  connectors: readonly string[],
  deadLetters: DeadLetters,
): Promise<readonly GivenUp[]> {
  const all = await Promise.all(
    connectors.map((name) => deadLetters.correlated(name, correlationids)),
  );
  return all.flat().flatMap(({ connector, event, error, lastAt }) => {
    const { type, correlationid } = event as { type: string; correlationid?: unknown };
    // An answer has the correlation of its question: whoever could not take it has not kept it from others.
    if (!type.startsWith("dev.sluice.question.") || typeof correlationid !== "string") return [];
    return [{ correlationid, connector, error, at: lastAt }];
  });
}

/** Who has a part in what comes to a topic. */
export function producersOf(topic: string, all: readonly Producer[]): readonly string[] {
  const found = new Set<string>();
  const climb = (to: string): void => {
    for (const one of all) {
      if (one.topic !== to || found.has(one.name)) continue;
      found.add(one.name);
      if (one.kind === "transform") for (const from of one.from) climb(from);
    }
  };
  climb(topic);
  return [...found];
}
