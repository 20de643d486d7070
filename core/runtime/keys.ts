/** What the runner keeps in a connector's scope, beside `requests/…`, `served/…` and `children/…`. */

/** A source's resume point. */
export const checkpointKey = "checkpoint";
/** What queues know a lease by once they knew later holders of it than the state. */
export const aliasKey = (lease: string) => `alias/${lease}`;
/** A connector's own keys lie under this; the runner's beside it. */
export const ownPrefix = "own/";
