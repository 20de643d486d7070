import type { Applicable } from "./connector.ts";
import { isUpsert, type UpsertEvent } from "./event.ts";

/**
 * The subject of a part of a record that a transform splits: the record's own and the part's key, which
 * must be the same for the same part whenever the record is split again.
 */
export function childSubject(subject: string, key: string): string {
  return JSON.stringify([subject, key]);
}

/** The part's key, for a subject that `childSubject` made of this record's; else undefined. */
export function childKey(subject: string, parent: string): string | undefined {
  if (!subject.startsWith('["')) return undefined;
  try {
    const parts: unknown = JSON.parse(subject);
    if (!Array.isArray(parts) || parts.length !== 2 || parts[0] !== parent) return undefined;
    return typeof parts[1] === "string" ? parts[1] : undefined;
  } catch {
    // Some other subject that begins like one.
    return undefined;
  }
}

/** True for the subjects of a record's parts, and of the parts of these. */
export function isPartOf(subject: string, record: string): boolean {
  if (!subject.startsWith('["')) return false;
  try {
    const parts: unknown = JSON.parse(subject);
    if (!Array.isArray(parts) || parts.length !== 2) return false;
    const [parent, key] = parts as readonly unknown[];
    if (typeof parent !== "string" || typeof key !== "string") return false;
    return parent === record || isPartOf(parent, record);
  } catch {
    return false; // some other subject that begins like one
  }
}

/** An event about a part of a record: all is the record's but the subject, and the data that is given. */
export function childOf<E extends UpsertEvent>(
  parent: Applicable,
  key: string,
  event: Pick<E, "type" | "data">,
): E {
  if (!isUpsert(parent)) throw new TypeError("childOf: only records have parts.");
  // Every attribute of the parent fits: they are those of its record.
  return { ...parent, ...event, subject: childSubject(parent.subject, key) } as unknown as E;
}
