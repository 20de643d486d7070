import { expectedOfSinks } from "./expected-of-sinks.test.data.ts";
import { expectedOfSources } from "./expected-of-sources.test.data.ts";

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
  letters: {
    "is not what it is described as": ["is what it is described as"],
    "shuffles its answers": ["answers one vector a text, in order, whatever stands beside it"],
    "makes vectors too short": [
      "answers one vector a text, in order, whatever stands beside it",
      "tells texts apart, and embeds questions too",
    ],
    "does not normalise": ["answers one vector a text, in order, whatever stands beside it"],
    "adds noise": [
      "answers one vector a text, in order, whatever stands beside it",
      "answers several calls at once, each with its own",
    ],
    "differs by process": ["gives the same vectors in another process"],
    "is infinite for long texts": [
      "takes the longest text and refuses a longer one, which is never cut",
    ],
    "has another fingerprint each time": [
      "has one fingerprint, and another for other dimensions",
      "is what it is described as",
    ],
    "has one fingerprint for all dimensions": [
      "has one fingerprint, and another for other dimensions",
    ],
    "knows one vector only": ["tells texts apart, and embeds questions too"],
    "mixes up calls": ["answers several calls at once, each with its own"],
    "wants at least one text": ["embeds nothing for no texts"],
    "takes fewer texts than it says": ["takes as many texts as it says"],
    "embeds what is empty": ["refuses an empty text, which is poison"],
    "cuts what is too long": [
      "takes the longest text and refuses a longer one, which is never cut",
    ],
    "counts characters of the first word": [
      "counts more tokens for more text",
      "takes the longest text and refuses a longer one, which is never cut",
    ],
    "ignores its abort": ["rejects after an abort, and within a second of one"],
    "settles late": ["rejects after an abort, and within a second of one"],
    "closes once": ["can be closed twice"],
    "leaves a quiet timer": [
      "leaves nothing open: no timer, socket, file, thread, child or listener",
    ],
    "leaves a listener": ["leaves nothing open: no timer, socket, file, thread, child or listener"],
    "leaves a timer": ["leaves nothing open: no timer, socket, file, thread, child or listener"],
    "prints its token": ["tells no secret, in no line, error, finding, counter, state or output"],
    "tells its token": ["tells no secret, in no line, error, finding, counter, state or output"],
  },
  drawers: {
    "says other dimensions": ["says what the index is"],
    "removes the first of many": ["takes as much as its limits say, whole"],
    "writes the first of many": [
      "takes as much as its limits say, whole",
      "lists the ids of a prefix as it is written, all of them, ascending by bytes",
    ],
    "fetches the first of many": [
      "takes as much as its limits say, whole",
      "lists the ids of a prefix as it is written, all of them, ascending by bytes",
      "answers with as many as asked, where there are as many",
    ],
    "makes texts of numbers": [
      "gives back what was put, metadata of every type included",
      "removes what it is told and nothing else",
      "removing what is absent succeeds, in an absent namespace too",
      "upserts at once all arrive",
      "leaves out of a fetch what is absent",
      "lists the ids of a prefix as it is written, all of them, ascending by bytes",
      "keeps namespaces apart, alike as their names may be",
      "names its namespaces, if it can",
      "answers the nearest first, as many as asked, with their metadata",
      "orders by the metric it says it has",
      "answers with as many as asked, where there are as many",
      "takes ids and metadata as long as its limits say",
      "refuses a vector of other dimensions, which is poison",
      "takes as much as its limits say, whole",
    ],
    "merges metadata": [
      "an upsert replaces the whole vector, its metadata too, and may be repeated",
    ],
    "removes by prefix": ["removes what it is told and nothing else"],
    "misses what is absent": [
      "removing what is absent succeeds, in an absent namespace too",
      "refuses a vector of other dimensions, which is poison",
    ],
    "loses upserts at once": ["upserts at once all arrive"],
    "tells falling positions": ["tells rising log positions, if any"],
    "fetches what is absent": [
      "leaves out of a fetch what is absent",
      "refuses a vector of other dimensions, which is poison",
    ],
    "lists by a pattern": [
      "lists the ids of a prefix as it is written, all of them, ascending by bytes",
    ],
    "lists in any case": [
      "lists the ids of a prefix as it is written, all of them, ascending by bytes",
    ],
    "rounds values": ["gives back values as they were put, not rounded"],
    "keeps integers of 32 bits": ["gives back what was put, metadata of every type included"],
    "keeps floats of 32 bits": ["gives back what was put, metadata of every type included"],
    "folds the case of namespaces": [
      "keeps namespaces apart, alike as their names may be",
      "names its namespaces, if it can",
    ],
    "cleans namespaces": ["keeps namespaces apart, alike as their names may be"],
    "orders by another metric": ["orders by the metric it says it has"],
    "answers with ten at most": ["answers with as many as asked, where there are as many"],
    "makes what it is to read": ["makes nothing when it is opened to be read"],
    "lists one page": [
      "lists the ids of a prefix as it is written, all of them, ascending by bytes",
    ],
    "lists in order of arrival": [
      "lists the ids of a prefix as it is written, all of them, ascending by bytes",
    ],
    "mixes namespaces": [
      "keeps namespaces apart, alike as their names may be",
      "leaves out of a fetch what is absent",
      "lists the ids of a prefix as it is written, all of them, ascending by bytes",
      "names its namespaces, if it can",
      "answers the nearest first, as many as asked, with their metadata",
      "orders by the metric it says it has",
      "answers with as many as asked, where there are as many",
      "takes as much as its limits say, whole",
      "takes ids and metadata as long as its limits say",
      "refuses a vector of other dimensions, which is poison",
      "starts nothing after an abort or its deadline",
    ],
    "names other namespaces": ["names its namespaces, if it can"],
    "answers the farthest first": [
      "answers the nearest first, as many as asked, with their metadata",
      "orders by the metric it says it has",
    ],
    "answers all": [
      "answers the nearest first, as many as asked, with their metadata",
      "answers with as many as asked, where there are as many",
    ],
    "answers without metadata": [
      "answers the nearest first, as many as asked, with their metadata",
    ],
    "takes less than it says": [
      "takes as much as its limits say, whole",
      "answers with as many as asked, where there are as many",
      "lists the ids of a prefix as it is written, all of them, ascending by bytes",
    ],
    "cuts long ids": ["takes ids and metadata as long as its limits say"],
    "takes other dimensions": ["refuses a vector of other dimensions, which is poison"],
    "asks to try again with other dimensions": [
      "refuses a vector of other dimensions, which is poison",
    ],
    "ignores its abort": ["starts nothing after an abort or its deadline"],
    "ignores its deadline": ["starts nothing after an abort or its deadline"],
    "settles late": ["settles within a second of an abort"],
    "keeps to itself what it answered": [
      "killed at each step, what it answered is there, and every vector is whole",
    ],
    "writes a vector by halves": [
      "killed at each step, what it answered is there, and every vector is whole",
    ],
    "closes once": ["can be closed twice"],
    "leaves a quiet timer": [
      "leaves nothing open: no timer, socket, file, thread, child or listener",
    ],
    "leaves a listener": ["leaves nothing open: no timer, socket, file, thread, child or listener"],
    "leaves a timer": ["leaves nothing open: no timer, socket, file, thread, child or listener"],
    "keeps its token": ["tells no secret, in no line, error, finding, counter, state or output"],
    "tells its token": ["tells no secret, in no line, error, finding, counter, state or output"],
  },
} satisfies Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
