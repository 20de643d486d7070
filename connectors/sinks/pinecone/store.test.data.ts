import { defineVectorStore } from "sluice";
import { pineconeConfig } from "./config.ts";
import { openPineconeStore } from "./store.ts";

/** The sink's store, as an extension of its own. */
export const pineconeStore = defineVectorStore({
  name: "pinecone",
  version: "1.0.0",
  summary: "An index at Pinecone.",
  config: pineconeConfig,
  open: openPineconeStore,
});
