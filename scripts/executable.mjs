// tsc writes no modes, and `npx sluice` in a clone runs the file itself.
import { chmodSync } from "node:fs";

chmodSync(new URL("../dist/cli/main.js", import.meta.url), 0o755);
