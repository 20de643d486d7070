import { defineTransform, isUpsert, z } from "sluice";

const address = /[\w.+-]+@[\w-]+(\.[\w-]+)+/g;

/** Takes e-mail addresses out of documents. Belongs before `chunk`. */
export const myTransform = defineTransform({
  name: "my-transform",
  version: "1.0.0",
  summary: "Takes e-mail addresses out of documents.",
  config: z.strictObject({
    mark: z.string().default("[address]").describe("What stands in their place."),
  }),
  accepts: ["dev.sluice.document."],
  emits: ["dev.sluice.document."],
  open: async ({ config: { mark } }) => ({
    apply: async (events) =>
      events.map((event) => {
        if (!isUpsert(event) || event.type !== "dev.sluice.document.upserted") return event;
        const text = event.data.text.replaceAll(address, () => mark);
        return text === event.data.text ? event : { ...event, data: { ...event.data, text } };
      }),
  }),
});
