/** One queue: a partition of one subscription. */
export interface QueuePlace {
  readonly project: string;
  readonly topic: string;
  /** The subscription's name. */
  readonly name: string;
  /** Tells a subscription from an ended one of the same name: what is late for the old one reaches nobody. */
  readonly generation: string;
  readonly partition: number;
}

/** What the keys of a project's topics begin with. */
export function keyRoot(project: string): string {
  return `sluice:{${encodeURIComponent(project)}}`;
}

/** BullMQ's queue name and prefix. The braces spread the queues over a cluster while each stays in one slot. */
export function queueNames(place: QueuePlace): { readonly queue: string; readonly prefix: string } {
  const { project, topic, name, generation, partition } = place;
  const [p, t, n] = [project, topic, name].map(encodeURIComponent); // no ":" and no braces of their own
  return {
    queue: `${t}-${n}-p${partition}`,
    prefix: `sluice:{${p}/${t}/${n}.${generation}/${partition}}`,
  };
}

export type QueueNames = ReturnType<typeof queueNames>;

/** The hash of a queue's events: `JOB/N` → a piece of a job's. Beside the jobs, because every script of BullMQ copies a job's data. */
export function bodiesKey({ queue, prefix }: QueueNames): string {
  return `${prefix}:${queue}:bodies`;
}

/** The hash of who publishes to a queue: the publisher's lease → its newest token, and the job it last put events of. */
export function publishersKey({ queue, prefix }: QueueNames): string {
  return `${prefix}:${queue}:publishers`;
}

/** BullMQ's hash of a job. */
export function jobKey({ queue, prefix }: QueueNames, jobId: string): string {
  return `${prefix}:${queue}:${jobId}`;
}

export function pieceKeys(jobId: string, pieces: number): readonly string[] {
  return Array.from({ length: pieces }, (_, at) => `${jobId}/${at}`);
}

/** The job that a piece belongs to. */
export function jobOf(pieceKey: string): string {
  return pieceKey.slice(0, pieceKey.lastIndexOf("/"));
}
