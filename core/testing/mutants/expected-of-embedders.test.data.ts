/** By what the embedder does wrong: the case that is there to catch it, and those that catch it as well. */
export const expectedOfEmbedders = {
  "is not what it is described as": ["is what it is described as"],
  "shuffles its answers": ["answers one vector a text, in order, whatever stands beside it"],
  "makes vectors too short": [
    "answers one vector a text, in order, whatever stands beside it",
    "tells texts apart, and embeds questions too",
    "takes the longest text and refuses a longer one, which is never cut",
  ],
  "does not normalise": [
    "answers one vector a text, in order, whatever stands beside it",
    "tells texts apart, and embeds questions too",
    "takes the longest text and refuses a longer one, which is never cut",
  ],
  "does not normalise questions": [
    "tells texts apart, and embeds questions too",
    "takes the longest text and refuses a longer one, which is never cut",
  ],
  "answers out of one buffer": [
    "leaves alone what it has answered",
    "answers one vector a text, in order, whatever stands beside it",
    "sees the longest text to its end",
  ],
  "adds noise": [
    "answers one vector a text, in order, whatever stands beside it",
    "answers several calls at once, each with its own",
  ],
  "differs by process": ["gives the same vectors in another process, under the same fingerprint"],
  "has a fingerprint by process": [
    "gives the same vectors in another process, under the same fingerprint",
  ],
  "is infinite for long texts": [
    "takes the longest text and refuses a longer one, which is never cut",
  ],
  "has another fingerprint each time": [
    "has one fingerprint, and another for whatever option makes other vectors",
    "is what it is described as",
  ],
  "has one fingerprint for all dimensions": [
    "has one fingerprint, and another for whatever option makes other vectors",
  ],
  "has one fingerprint for all models": [
    "has one fingerprint, and another for whatever option makes other vectors",
  ],
  "knows one vector only": [
    "tells texts apart, and embeds questions too",
    "sees the longest text to its end",
  ],
  "mixes up calls": ["answers several calls at once, each with its own"],
  "wants at least one text": ["embeds nothing for no texts"],
  "takes fewer texts than it says": [
    "takes as many texts as it says",
    "takes as many tokens a call as it says",
  ],
  "takes fewer tokens than it says": ["takes as many tokens a call as it says"],
  "embeds what is empty": ["refuses an empty text, which is poison"],
  "embeds tabs": ["refuses an empty text, which is poison"],
  "cuts questions that are too long": [
    "takes the longest text and refuses a longer one, which is never cut",
  ],
  "sees half of a long text": ["sees the longest text to its end"],
  "sees half of a long question": ["sees the longest text to its end"],
  "sees so many bytes": ["sees the longest text to its end"],
  "counts nothing but ASCII": [
    "counts more tokens for more text",
    "takes the longest text and refuses a longer one, which is never cut",
  ],
  "cuts what is too long": ["takes the longest text and refuses a longer one, which is never cut"],
  "counts characters of the first word": [
    "counts more tokens for more text",
    "takes the longest text and refuses a longer one, which is never cut",
  ],
  "ignores its abort": ["rejects after an abort, and within a second of one"],
  "ignores the abort of questions": ["rejects after an abort, and within a second of one"],
  "waits for its service whatever its abort": [
    "rejects after an abort, and within a second of one",
  ],
  "settles late": ["rejects after an abort, and within a second of one"],
  "closes once": ["can be closed twice"],
  "leaves a quiet timer": [
    "leaves nothing open: no timer, socket, file, thread, child or listener",
  ],
  "leaves a listener": ["leaves nothing open: no timer, socket, file, thread, child or listener"],
  "leaves a timer": ["leaves nothing open: no timer, socket, file, thread, child or listener"],
  "prints its token": ["tells no secret, in no line, error, finding, counter, state or output"],
  "tells its token": ["tells no secret, in no line, error, finding, counter, state or output"],
  "tells its token with questions": [
    "tells no secret, in no line, error, finding, counter, state or output",
  ],
};
