/** What the runner keeps in a connector's scope, beside `requests/…`, `served/…` and `children/…`. */

/** A source's resume point. */
export const checkpointKey = "checkpoint";
/** What queues know a lease of this state by. */
export const publisherKey = (lease: string) => `publisher/${lease}`;
/** A connector's own keys lie under this; the runner's beside it. */
export const ownPrefix = "own/";
