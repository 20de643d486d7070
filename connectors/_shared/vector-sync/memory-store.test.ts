import { defineVectorStore, z } from "sluice";
import { vectorStoreConformance } from "sluice/testing";
import { describe, it } from "vitest";
import { memoryStore } from "./memory-store.ts";

const held = memoryStore({ dimensions: 8 });
const store = defineVectorStore({
  name: "memory",
  version: "1.0.0",
  summary: "In memory.",
  config: z.strictObject({}),
  open: async () => held,
});

describe("the store of the tests keeps what vector sync relies on:", () => {
  for (const { name, run } of vectorStoreConformance({ store, config: {}, filter: false }))
    it(name, run);
});
