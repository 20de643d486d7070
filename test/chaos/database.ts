import type { Client } from "pg";
import type { Random } from "./random.ts";

const words =
  "river stone lantern harbour copper meadow signal winter thread orchard engine ladder paper summit anchor velvet mirror garden bridge cellar".split(
    " ",
  );

const renames = ["author TO writer", "writer TO author"];

/** Tables under random change: inserts, updates, key changes, deletes, truncates and DDL. */
export interface ChangingDatabase {
  /** One random transaction; `isLate`: without truncates, so that the end is not an empty table. */
  readonly change: (isLate?: boolean) => Promise<void>;
}

/** Makes the tables: one with a plain key and long values out of line, one with a key of two columns. */
export async function prepareDatabase(client: Client): Promise<void> {
  await client.query(`
    CREATE TABLE articles(id int PRIMARY KEY, title text, body text, author text, n int DEFAULT 0);
    ALTER TABLE articles ALTER body SET STORAGE EXTERNAL;
    CREATE TABLE notes(area text, no int, body text NOT NULL, PRIMARY KEY(area, no));
    INSERT INTO articles SELECT i, 'title '||i, 'A body of article '||i||'.', 'author '||(i % 7) FROM generate_series(-20, 60) i;
    INSERT INTO notes SELECT 'start', i, 'Note number '||i FROM generate_series(1, 40) i;
  `);
}

export function changingDatabase(
  query: (sql: string, parameters?: readonly unknown[]) => Promise<unknown>,
  random: Random,
): ChangingDatabase {
  let extra = 0;
  const text = () =>
    Array.from({ length: 3 + random.below(12) }, () => random.pick(words)).join(" ");
  // Over 2 kB it is stored out of line, and an update of another column does not carry it.
  const body = () =>
    random.below(4) === 0 ? Array.from({ length: 40 }, text).join(". ") : `${text()}.`;
  const id = () => random.below(140) - 40;
  const area = () => random.pick(["NULL", "start", "a b", 'q"x', "ünï"]);

  const truncate = () =>
    query(random.below(2) === 0 ? "TRUNCATE notes" : "TRUNCATE articles, notes");
  const steps: readonly (readonly [number, () => Promise<unknown>])[] = [
    [
      22,
      () =>
        query(
          "INSERT INTO articles(id, title, body) VALUES ($1,$2,$3) ON CONFLICT (id) DO UPDATE SET title = EXCLUDED.title",
          [id(), text(), body()],
        ),
    ],
    [16, () => query("UPDATE articles SET title = $2 WHERE id = $1", [id(), text()])],
    [12, () => query("UPDATE articles SET body = $2 WHERE id = $1", [id(), body()])],
    [8, () => query("UPDATE articles SET n = n::int + 1 WHERE id BETWEEN $1 AND $1 + 15", [id()])],
    [10, () => query("DELETE FROM articles WHERE id = $1", [id()])],
    [
      8,
      () =>
        query(
          "UPDATE articles SET id = $2 WHERE id = $1 AND NOT EXISTS (SELECT FROM articles WHERE id = $2)",
          [id(), id()],
        ),
    ],
    [
      10,
      () =>
        query("INSERT INTO notes VALUES ($1,$2,$3) ON CONFLICT DO NOTHING", [
          area(),
          random.below(30),
          body(),
        ]),
    ],
    [
      6,
      () =>
        query(
          "UPDATE notes SET area = $3, body = body || '!' WHERE area = $1 AND no = $2 AND NOT EXISTS (SELECT FROM notes WHERE area = $3 AND no = $2)",
          [area(), random.below(30), area()],
        ),
    ],
    [5, () => query("DELETE FROM notes WHERE area = $1 AND no < $2", [area(), random.below(30)])],
    [1, truncate],
    [1, () => query(`ALTER TABLE articles ADD COLUMN extra_${extra++} text`)],
    [
      1,
      () =>
        extra === 0
          ? query("SELECT 1")
          : query(`ALTER TABLE articles DROP COLUMN IF EXISTS extra_${random.below(extra)}`),
    ],
    // The whole table is written anew; a key's type changes; a column gets another name.
    [
      1,
      () => query(`ALTER TABLE notes ALTER no TYPE ${random.pick(["int", "bigint", "numeric"])}`),
    ],
    [1, () => query(`ALTER TABLE articles ALTER n TYPE ${random.pick(["int", "bigint", "text"])}`)],
    [1, () => query(`ALTER TABLE articles RENAME ${random.pick(renames)}`)],
    [
      1,
      () =>
        query(
          `ALTER TABLE articles REPLICA IDENTITY ${random.below(2) === 0 ? "FULL" : "DEFAULT"}`,
        ),
    ],
  ];
  const total = steps.reduce((sum, [weight]) => sum + weight, 0);
  const step = async (isLate: boolean): Promise<unknown> => {
    let dice = random.below(total);
    for (const [weight, run] of steps)
      if ((dice -= weight) < 0) return isLate && run === truncate ? undefined : run();
  };
  return {
    change: async (isLate = false) => {
      const size = random.below(3) === 0 ? 1 + random.below(6) : 1;
      if (size === 1) return void (await step(isLate));
      await query("BEGIN");
      for (let n = 0; n < size; n++) await step(isLate);
      await query(random.below(10) === 0 ? "ROLLBACK" : "COMMIT");
    },
  };
}
