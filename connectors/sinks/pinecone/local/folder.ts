import { ConfigError } from "sluice";

/** Opens something in `dir`; why the system or SQLite cannot becomes an error that says what to do. */
export function inFolder<T>(dir: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined || code.startsWith("SQLITE_BUSY")) throw error;
    if (/^SQLITE_(NOTADB|CORRUPT)/.test(code)) {
      throw new ConfigError(
        `pinecone: ${dir}/pinecone.db is damaged, or no SQLite file (${code}).`,
        {
          code: "pinecone.file-damaged",
          fix: "Restore it from a backup, or move it away and fill the index from a new snapshot.",
          cause: error,
        },
      );
    }
    throw new ConfigError(`pinecone: the folder ${dir} cannot be written (${code}).`, {
      code: "pinecone.folder-unwritable",
      fix: "Name a folder that this user may create and write, or free some space on its disk.",
      cause: error,
    });
  }
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || error instanceof ConfigError) return undefined;
  // libsql's own wording when a file cannot be opened; it carries no code.
  if (error.message.includes("ConnectionFailed")) return "SQLITE_CANTOPEN";
  return "code" in error && typeof error.code === "string" ? error.code : undefined;
}
