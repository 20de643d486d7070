import type { Unit } from "./unit.ts";

/** What stands under one heading, up to the next. */
export interface Section {
  /** Headings above the units, outermost first. */
  readonly path: readonly string[];
  readonly units: () => Iterable<Unit>;
}
