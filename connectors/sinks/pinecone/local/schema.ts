import { ConfigError } from "sluice";

/** Statements that bring a file from the format before to this one; the first is version 1. */
const formats: readonly string[] = [
  `CREATE TABLE indexes (
     id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
     dimension INTEGER NOT NULL, metric TEXT NOT NULL, settings TEXT NOT NULL);
   CREATE TABLE namespaces (
     id INTEGER PRIMARY KEY AUTOINCREMENT, "index" INTEGER NOT NULL, name TEXT NOT NULL,
     lsn INTEGER NOT NULL, live INTEGER NOT NULL, UNIQUE ("index", name));
   CREATE TABLE vectors (
     number INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, id TEXT NOT NULL,
     embedding BLOB NOT NULL, norm REAL NOT NULL, metadata TEXT, sparse TEXT,
     UNIQUE (namespace, id));`,
  // What memory follows, and writes that are accepted but not visible yet: `due` in milliseconds, null when held.
  `ALTER TABLE namespaces ADD COLUMN visible INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE namespaces ADD COLUMN change INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE namespaces ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE namespaces ADD COLUMN schema TEXT;
   ALTER TABLE vectors ADD COLUMN change INTEGER NOT NULL DEFAULT 0;
   UPDATE namespaces SET visible = lsn;
   CREATE INDEX changed ON vectors (namespace, change);
   CREATE TABLE pending (
     namespace INTEGER NOT NULL, lsn INTEGER NOT NULL, due INTEGER,
     operation TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (namespace, lsn)) WITHOUT ROWID;`,
];

/** What to run on a file of format `found`, 0 for a new one. */
export function upgrades(given: {
  readonly file: string;
  readonly found: number;
  readonly readOnly: boolean;
}): readonly string[] {
  const { file, found, readOnly } = given;
  if (found > formats.length) {
    throw new ConfigError(`pinecone: ${file} has format ${found}, newer than ${formats.length}.`, {
      code: "pinecone.file-newer",
      fix: "Use the newer version of sluice that wrote it, or another folder.",
    });
  }
  if (found === formats.length) return [];
  if (readOnly && found === 0) throw noIndexYet(file);
  if (readOnly) {
    throw new ConfigError(`pinecone: ${file} has format ${found}, older than ${formats.length}.`, {
      code: "pinecone.file-older",
      fix: "Open it once for writing with this version: `sluice pinecone --data FOLDER`.",
    });
  }
  return [...formats.slice(found), `PRAGMA user_version = ${formats.length}`];
}

export function noIndexYet(file: string): ConfigError {
  return new ConfigError(`pinecone: ${file} holds no local index yet.`, {
    code: "pinecone.local-missing",
    fix: "Start the pipeline that fills it first, or correct the folder.",
  });
}
