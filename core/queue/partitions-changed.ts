import { ConfigError } from "../errors.ts";

/** `ConfigError` `queue.partitions-changed`: a topic's number of partitions is another one than `configured` here. */
export function partitionsChanged(topic: string, now: number, configured: number): ConfigError {
  return new ConfigError(
    `queue: topic "${topic}" has ${now} partitions, because events wait in them or another process says so; the configuration here says ${configured}.`,
    {
      code: "queue.partitions-changed",
      fix: `Set "partitions" of topic "${topic}" to ${now}. To change it, \`sluice stop\` what publishes to it, wait until nothing waits, start every process with the new number, and \`sluice resume\`.`,
    },
  );
}
