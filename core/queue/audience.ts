import type { SluiceEvent } from "../event.ts";

/**
 * An event's audience is the one subscription it is for; where transforms lie before that one, the way
 * there, connector by connector: `chunks/search`. The first of them is who gets it.
 */
export function addresseeOf(event: SluiceEvent): string | undefined {
  const { audience } = event;
  return typeof audience === "string" ? audience.split("/", 1)[0] : undefined;
}

/** The event as its addressee publishes it further: for whoever comes next on the way, or else for everybody. */
export function passedOn(event: SluiceEvent): SluiceEvent {
  if (typeof event.audience !== "string") return event;
  const { audience, ...rest } = event;
  const next = audience.indexOf("/") + 1;
  return next === 0 ? rest : { ...rest, audience: audience.slice(next) };
}
