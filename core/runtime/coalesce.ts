import { isRecordChange, type SluiceEvent } from "../event.ts";

/**
 * Cuts a batch into the calls a sink may get: at most one event a record, the newest; a clear alone.
 * Order is kept where it matters: per record, and around clears. Of equal versions the later arrival wins.
 * `perAudience` keeps the newest for each audience.
 */
export function coalesce(
  events: readonly SluiceEvent[],
  { perAudience } = { perAudience: false },
): readonly (readonly SluiceEvent[])[] {
  const groups: SluiceEvent[][] = [];
  let group: (SluiceEvent | undefined)[] = [];
  let places = new Map<string, number>();
  const finish = () => {
    const kept = group.filter((event) => event !== undefined);
    if (kept.length > 0) groups.push(kept);
    group = [];
    places = new Map();
  };
  for (const event of events) {
    if (!isRecordChange(event)) {
      group.push(event);
    } else if (event.type === "dev.sluice.collection.cleared") {
      finish();
      groups.push([event]);
    } else {
      const key = `${event.source}\n${event.subject}`;
      const record = perAudience && event.audience ? `${event.audience}\n${key}` : key;
      const place = places.get(record);
      const before = place === undefined ? undefined : group[place];
      if (before && isRecordChange(before) && event.sequence < before.sequence) continue;
      if (place !== undefined) group[place] = undefined;
      places.set(record, group.push(event) - 1);
    }
  }
  finish();
  return groups;
}
