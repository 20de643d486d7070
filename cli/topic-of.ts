import { nearest } from "../core/config/nearest.ts";
import type { Pipeline } from "../core/config/pipeline.ts";
import { SluiceError } from "../core/errors.ts";

/** Throws `cli.unknown-name`, with the nearest one, where the config files name no such topic. */
export function refuseUnknownTopic({ topics }: Pipeline, topic: string): void {
  if (Object.hasOwn(topics, topic)) return;
  const names = Object.keys(topics);
  const close = nearest(topic, names);
  throw new SluiceError(`sluice: the config has no topic ${JSON.stringify(topic)}.`, {
    code: "cli.unknown-name",
    fix: close
      ? `Write ${close}.`
      : `Name one of ${names.join(", ") || "its topics: give the config files"}.`,
  });
}
