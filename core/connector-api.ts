/**
 * Version of what connectors and the runner promise each other. It goes up only when a connector that was written for
 * the one before would no longer run rightly; what is added and optional leaves it as it is.
 */
export const connectorApi = 1;

declare const defined: unique symbol;

/** What a define function adds to a definition; nothing else makes one. */
export interface Defined<K extends string> {
  readonly [defined]: true;
  readonly kind: K;
  /** `connectorApi` of the copy of Sluice that the connector was made with, which may be another one than runs it. */
  readonly apiVersion: number;
}

export function stamp<K extends string>(kind: K): Omit<Defined<K>, typeof defined> {
  return { kind, apiVersion: connectorApi };
}
