import { join } from "node:path";
import Database from "libsql";

// Keeps the file of the folder that it is given locked against every other writer for half a second.
const [, , dir = ""] = process.argv;
const database = new Database(join(dir, "sluice.db"));
database.pragma("busy_timeout = 5000");
database.exec("BEGIN IMMEDIATE");
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
database.exec("COMMIT");
database.close();
