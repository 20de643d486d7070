/**
 * Version of what connectors and the runner promise each other. It goes up only when a connector that was written for
 * the one before would no longer run rightly; what is added and optional leaves it as it is.
 */
export const connectorApi = 1;

/** What a define function adds to a definition. */
export interface Stamp<K extends string> {
  readonly kind: K;
  /** `connectorApi` of the copy of Sluice that the connector was made with, which may be another one than runs it. */
  readonly apiVersion: number;
}

export function stamp<K extends string>(kind: K): Stamp<K> {
  return { kind, apiVersion: connectorApi };
}
