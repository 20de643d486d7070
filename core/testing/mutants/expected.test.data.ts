import { expectedOfEmbedders } from "./expected-of-embedders.test.data.ts";
import { expectedOfSinks } from "./expected-of-sinks.test.data.ts";
import { expectedOfStores } from "./expected-of-stores.test.data.ts";

/**
 * By the connector and what it does wrong: the case that is there to catch it, and those that catch it as
 * well, some of them only mostly.
 */
export const expected = {
  journal: {
    "begins with what is yet to come": [
      "first emits everything that exists, whatever letters it has",
    ],
    "looks only once": ["emits what appears while it runs"],
    "lets nothing come back": ["a record that comes back is emitted again"],
    "gives lower versions in later runs": [
      "killed between publishing and the checkpoint, it emits again, never with a lower version",
      "a change it emitted just before a crash and is taken back while it is down, it takes back",
    ],
    "passes over what came and went while it was down": [
      "what it emitted just before a crash and is removed while it is down, it deletes",
    ],
    "starts over": [
      "resumes after its checkpoint: nothing old, nothing missed",
      "a change it emitted just before a crash and is taken back while it is down, it takes back",
    ],
    "skips what came while it was down": [
      "a change it emitted just before a crash and is taken back while it is down, it takes back",
      "resumes after its checkpoint: nothing old, nothing missed",
      "emits a delete that happened while it was down",
      "resumes from every checkpoint with all that followed",
      "names the same change alike in every run: one id a version, all of it alike",
      "a snapshot that a crash ended is finished when it is asked for again, once",
    ],
    "keeps its position elsewhere": [
      "resumes from every checkpoint with all that followed",
      "names the same change alike in every run: one id a version, all of it alike",
    ],
    "keeps its position before it publishes": [
      "killed at each step, it loses nothing and brings nothing back",
      "killed between publishing and the checkpoint, it emits again, never with a lower version",
    ],
    "forgets deletes": [
      "emits a delete with a higher version",
      "emits a delete that happened while it was down",
      "a record that comes back is emitted again",
      "what it emitted just before a crash and is removed while it is down, it deletes",
    ],
    "misses deletes while it is down": ["emits a delete that happened while it was down"],
    "gives every change one version": [
      "gives a later change a higher version, another id and the same partition key",
    ],
    "partitions by version": [
      "gives a later change a higher version, another id and the same partition key",
      "keeps the order of each key while many change at once",
      "emits a delete with a higher version",
      "a record that comes back is emitted again",
      "a change it emitted just before a crash and is taken back while it is down, it takes back",
      "a snapshot on request reads everything again and ends with a sweep",
      "a catch-up snapshot is addressed to its audience",
      "completes each request once, with its sweep or after it",
    ],
    "knows Latin letters only": ["first emits everything that exists, whatever letters it has"],
    "names events by process": ["names the same change alike in another process"],
    "tells when it read": [
      "names the same change alike in every run: one id a version, all of it alike",
    ],
    "spins while nothing happens": ["does not spin while nothing happens"],
    "names events at random": [
      "names the same change alike in every run: one id a version, all of it alike",
    ],
    "mixes up the order": [
      "keeps the order of each key while many change at once",
      "a change it emitted just before a crash and is taken back while it is down, it takes back",
      "what it emitted just before a crash and is removed while it is down, it deletes",
    ],
    "yields without bound": ["loses nothing while it is not asked, and yields bounded batches"],
    "reads ahead without bound": ["keeps its memory bounded while it is not asked"],
    "drops what nobody asks for": [
      "loses nothing while it is not asked, and yields bounded batches",
    ],
    "outlives its abort": ["returns within a second of an abort, idle or not asked"],
    "leaves a quiet timer": [
      "leaves nothing open: no timer, socket, file, thread, child or listener",
    ],
    "leaves a server": ["leaves nothing open: no timer, socket, file, thread, child or listener"],
    "leaves a file open": [
      "leaves nothing open: no timer, socket, file, thread, child or listener",
    ],
    "leaves a file to be collected": [
      "leaves nothing open: no timer, socket, file, thread, child or listener",
    ],
    "says something late": [
      "leaves nothing open: no timer, socket, file, thread, child or listener",
    ],
    "leaves a child": ["leaves nothing open: no timer, socket, file, thread, child or listener"],
    "adds a listener a round": ["adds no listener to its signal with every round"],
    "leaves a timer": ["leaves nothing open: no timer, socket, file, thread, child or listener"],
    "prints its token": ["tells no secret, in no line, error, finding, counter, state or output"],
    "tells its token in Base64": [
      "tells no secret, in no line, error, finding, counter, state or output",
    ],
    "keeps its token": ["tells no secret, in no line, error, finding, counter, state or output"],
    "tells its token": ["tells no secret, in no line, error, finding, counter, state or output"],
    "never completes": [
      "completes each request once, with its sweep or after it",
      "a snapshot that a crash ended is finished when it is asked for again, once",
    ],
    "completes too early": [
      "completes each request once, with its sweep or after it",
      "a snapshot that a crash ended is finished when it is asked for again, once",
    ],
    "forgets the audience": [
      "a catch-up snapshot is addressed to its audience",
      "a snapshot that a crash ended is finished when it is asked for again, once",
    ],
    "sweeps what it just read": [
      "a snapshot on request reads everything again and ends with a sweep",
    ],
    "takes no request again after a crash": [
      "a snapshot that a crash ended is finished when it is asked for again, once",
    ],
  },
  outbox: {
    "confirms what is not settled": [
      "confirms nothing at its origin before it is settled",
      "resumes from every checkpoint with all that followed",
      "names the same change alike in every run: one id a version, all of it alike",
      "killed between publishing and the checkpoint, it emits again, never with a lower version",
      "a change it emitted just before a crash and is taken back while it is down, it takes back",
      "returns within a second of an abort, idle or not asked",
    ],
  },
  words: {
    "says that it accepts something else": [
      "accepts the samples' types",
      "a record that becomes another sample leaves nothing of what it was",
    ],
    "answers a record's change with what the record was": [
      "a record that becomes another sample leaves nothing of what it was",
    ],
    "drops a slot": [
      "answers with one slot per input, of a type it says it emits",
      "keeps each record's identity",
      "gives the same for the same, at once, one by one and in a new worker",
      "a record that becomes another sample leaves nothing of what it was",
      "names the one input it refuses, and no other",
    ],
    "emits what it does not say": [
      "answers with one slot per input, of a type it says it emits",
      "keeps each record's identity",
      "a record that becomes another sample leaves nothing of what it was",
    ],
    "does not say that it splits": [
      "says that it splits if it does",
      "a record that becomes another sample leaves nothing of what it was",
    ],
    "makes two parts of one key": [
      "keeps each record's identity",
      "a record that becomes another sample leaves nothing of what it was",
    ],
    "changes the subject": [
      "keeps each record's identity",
      "a record that becomes another sample leaves nothing of what it was",
    ],
    "changes the key": [
      "keeps each record's identity",
      "a record that becomes another sample leaves nothing of what it was",
    ],
    "drops the audience": ["keeps each record's identity"],
    "drops the trace": ["keeps each record's identity"],
    "says what JSON cannot": [
      "answers with sound events: what JSON can say, and the data of their type",
    ],
    "makes records of nothing": [
      "answers with sound events: what JSON can say, and the data of their type",
    ],
    "answers twenty-five at most": ["answers with one slot per input, of a type it says it emits"],
    "differs by process": ["gives the same in another process"],
    remembers: [
      "gives the same for the same, at once, one by one and in a new worker",
      "mixes nothing up while partitions are worked on at once",
      "a record that becomes another sample leaves nothing of what it was",
    ],
    "names events at random": [
      "gives the same for the same, at once, one by one and in a new worker",
      "keeps each record's identity",
      "mixes nothing up while partitions are worked on at once",
    ],
    "mixes up partitions": ["mixes nothing up while partitions are worked on at once"],
    "changes its input": ["leaves its input as it was"],
    "stumbles over nothing": ["answers nothing with nothing"],
    "skips what it should let go": [
      "skips only what another change is bound to follow",
      "a record that becomes another sample leaves nothing of what it was",
    ],
    "fails as a whole": ["names the one input it refuses, and no other"],
    "names what did not fail": ["names the one input it refuses, and no other"],
    "settles late": ["settles within a second of an abort"],
    "closes once": ["can be closed twice"],
    "leaves a quiet timer": [
      "leaves nothing open: no timer, socket, file, thread, child or listener",
    ],
    "leaves a listener": ["leaves nothing open: no timer, socket, file, thread, child or listener"],
    "leaves a timer": ["leaves nothing open: no timer, socket, file, thread, child or listener"],
    "counts by its token": [
      "tells no secret, in no line, error, finding, counter, state or output",
    ],
    "tells its token": ["tells no secret, in no line, error, finding, counter, state or output"],
  },
  shelf: expectedOfSinks,
  letters: expectedOfEmbedders,
  drawers: expectedOfStores,
} satisfies Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
