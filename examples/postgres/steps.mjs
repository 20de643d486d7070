// What is done to the rows, and what a search must show then.

const keysOf = (matches, table) =>
  new Set(
    matches
      .filter(({ metadata }) => metadata._src.endsWith(`public.${table}`))
      .map(({ metadata }) => metadata._subject),
  );
const has = (matches, key) => keysOf(matches, "articles").has(`["${key}"]`);
const best = ([first], key) => first !== undefined && has([first], key);
const says = (matches, words) => matches.some(({ metadata }) => metadata.text.includes(words));

/** `shows` is asked with the matches of `question`, best first, until it holds. */
export const steps = [
  {
    name: "snapshot: all rows are in the index",
    question: "how do I wash a down jacket?",
    shows: (matches) =>
      keysOf(matches, "articles").size === 30 &&
      keysOf(matches, "notices").size === 3 &&
      best(matches, 9),
  },
  {
    name: "INSERT: found",
    sql: `INSERT INTO articles (id, title, body, category, author) VALUES (31, 'Skins for touring skis',
            'Skins that no longer stick are cleaned with orange oil and glued anew. Cut them three millimetres narrower than the ski, so that the edges stay free.',
            'care', '{"name": "Noor Haddad"}')`,
    question: "the skins of my touring skis do not stick any more",
    shows: (matches) => best(matches, 31),
  },
  {
    name: "UPDATE: the new text is found, the old is not",
    sql: `UPDATE articles SET body = replace(body, 'within 30 days of delivery', 'within 60 days of delivery') WHERE id = 1`,
    question: "how many days do I have to send something back?",
    shows: (matches) => says(matches, "within 60 days") && !says(matches, "within 30 days of"),
  },
  {
    name: "UPDATE of a column that is only metadata",
    sql: `UPDATE articles SET author = jsonb_set(author, '{name}', '"Pekka Aalto"') WHERE id = 17`,
    question: "when must a climbing rope be thrown away?",
    shows: ([first]) => first?.metadata.author === "Pekka Aalto",
  },
  {
    name: "UPDATE of the key: the record moves",
    sql: `UPDATE articles SET id = 1012 WHERE id = 12`,
    question: "how do I keep a sleeping bag over the summer?",
    shows: (matches) => has(matches, 1012) && !has(matches, 12),
  },
  {
    name: "a transaction: all of it",
    sql: `BEGIN;
          DELETE FROM articles WHERE id = 31;
          INSERT INTO articles (id, title, body, category, author) VALUES (32, 'Ski skins', 'We glue skins anew for 30 euros.', 'service', '{"name": "Jonas Lind"}');
          UPDATE articles SET body = 'We glue skins anew for 35 euros.' WHERE id = 32;
          COMMIT`,
    question: "the skins of my touring skis do not stick any more",
    shows: (matches) => best(matches, 32) && says(matches, "35 euros") && !has(matches, 31),
  },
  {
    name: "DELETE: gone",
    sql: `DELETE FROM articles WHERE id = 19`,
    question: "is there a recall of a stove?",
    shows: (matches) => matches.length > 0 && !has(matches, 19),
  },
  {
    name: "TRUNCATE of the notices: gone, the articles stay",
    sql: `TRUNCATE notices`,
    question: "is the parcel carrier on strike?",
    shows: (matches) =>
      keysOf(matches, "notices").size === 0 && keysOf(matches, "articles").size === 30,
  },
];
