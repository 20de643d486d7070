import { defineConfig } from "vitest/config";

// Tests run on what `tsc` wrote: the very files that are published, worker threads and child processes included.
export default defineConfig({
  test: {
    include: ["dist/**/*.test.js"],
    exclude: ["node_modules/**"],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    reporters: ["default", "./scripts/count-reporter.mjs"],
  },
});
