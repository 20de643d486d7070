import { defineConfig } from "vitest/config";

// Tests run on what `tsc` wrote: the very files that are published, worker threads and child processes included.
export default defineConfig({
  test: {
    include: ["dist/**/*.test.js"],
    exclude: ["node_modules/**"],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    maxWorkers: 3, // on two processors: they wait more than they work
    // Where a red run costs most, a test on a real server that a busy machine disturbed may be tried once more.
    retry: Number(process.env["SLUICE_TEST_RETRIES"] ?? 0),
    reporters: ["default", "./scripts/count-reporter.mjs"],
  },
});
