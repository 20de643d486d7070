import { defineSink } from "sluice";
import { check } from "./check.ts";
import { config } from "./config.ts";
import { poster } from "./post.ts";
import { writer } from "./write.ts";

/**
 * POSTs every event to a URL, as a CloudEvent, one request after the other: so the order of each key is
 * kept. An event may come twice, with the same `webhook-id`; what it does there is the receiver's.
 */
export const http = defineSink({
  name: "http",
  version: "1.0.0",
  summary: "Events POSTed to a URL, signed.",
  config,
  accepts: [""],
  check,
  open: async ({ config: options }) => writer(options, poster(options)),
});
