import { z } from "sluice";
import { parsed, type Handler } from "./call.ts";
import { countOf, toNamespace } from "./namespace.ts";
import { invalid } from "./refusal.ts";

const statsBody = z.object({ filter: z.unknown().optional() }).nullish();

export const stats: Handler = ({ database, index, body }) => {
  const { filter } = parsed(statsBody, body) ?? {};
  if (filter != null) throw invalid("describe_index_stats takes no filter on a serverless index");
  const rows = database.rows(
    `SELECT * FROM namespaces WHERE "index" = ? AND live = 1 ORDER BY name`,
    [index.id],
  );
  const counts = rows.map((row) => {
    const { id, name } = toNamespace(row);
    return [name === "__default__" ? "" : name, countOf(database, id)] as const;
  });
  return {
    body: {
      namespaces: Object.fromEntries(counts.map(([name, vectorCount]) => [name, { vectorCount }])),
      ...(index.dimension > 0 && { dimension: index.dimension }),
      indexFullness: 0,
      totalVectorCount: counts.reduce((sum, [, count]) => sum + count, 0),
      ...(!(index.documents && index.dimension === 0) && {
        metric: index.metric,
        vectorType: index.dimension > 0 ? "dense" : "sparse",
      }),
    },
  };
};
