import { expectedOfEmbedders } from "./expected-of-embedders.test.data.ts";
import { expectedOfSinks } from "./expected-of-sinks.test.data.ts";
import { expectedOfSources } from "./expected-of-sources.test.data.ts";
import { expectedOfStores } from "./expected-of-stores.test.data.ts";

/**
 * By the connector and what it does wrong: the case that is there to catch it, and those that catch it as
 * well, some of them only mostly.
 */
export const expected = {
  ...expectedOfSources,
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
    "differs by process": ["gives the same in another process, whatever came before"],
    "remembers for ever what a subject was": [
      "gives the same in another process, whatever came before",
    ],
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
    "names what failed in its chunk": ["names the one input it refuses, and no other"],
    "names what did not fail": ["names the one input it refuses, and no other"],
    "settles late": ["settles within a second of an abort"],
    "waits for its service whatever its abort": ["settles within a second of an abort"],
    "closes once": ["can be closed twice"],
    "leaves a quiet timer": [
      "leaves nothing open: no timer, socket, file, thread, child or listener",
    ],
    "leaves a listener": ["leaves nothing open: no timer, socket, file, thread, child or listener"],
    "leaves a timer": ["leaves nothing open: no timer, socket, file, thread, child or listener"],
    "counts by its token": [
      "tells no secret, in no line, error, finding, counter, state or output",
    ],
    "tells its token with what it refuses": [
      "tells no secret, in no line, error, finding, counter, state or output",
    ],
    "tells its token": ["tells no secret, in no line, error, finding, counter, state or output"],
  },
  shelf: expectedOfSinks,
  letters: expectedOfEmbedders,
  drawers: expectedOfStores,
} satisfies Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
