/** By what the sink does wrong: the case that is there to catch it, and those that catch it as well. */
export const expectedOfSinks = {
  "loses what it was given": [
    "holds what it was given, whether it is new, has changed or was read in a snapshot",
    "keeps the order of each key while partitions write at once",
    "one bad event becomes a dead letter, and the others are written",
    "starts no write after a deadline that passes in the middle of a batch",
    "begins nothing more once it has settled after an abort in the middle of a batch",
  ],
  "leaves out what a snapshot read": [
    "holds what it was given, whether it is new, has changed or was read in a snapshot",
  ],
  "forgets deletes of long ago": [
    "a delete removes, and what is older does not come back",
    "what was written before, written again by itself, changes nothing",
    "a delete removes what is of a lower version, by epoch, then position, rank and tail",
    "opened anew, it knows what it wrote and deleted",
    "open twice at once, each knows what the other wrote and deleted, and nothing is lost",
  ],
  "writes twice what comes twice": [
    "the same batch twice is as good as once",
    "of equal versions the later one stands",
    "a record that a filter lets go, at the version it is held in, is gone, and may return",
    "a record of several parts goes whole, by a delete, a filter or a clear",
  ],
  "keeps what was there": [
    "a change replaces what was there",
    "a record that shrinks leaves nothing behind, however many parts go",
    "keeps the order of each key while partitions write at once",
    "what was written before, written again by itself, changes nothing",
    "of two puts the higher version stands, by epoch, then position, rank and tail",
    "takes nothing for written that its target refused in an outage, and nothing for poison",
    "writes nothing behind a deadline that passes in an outage",
    "settles within a second of an abort while its target does not answer",
  ],
  "leaves orphans of what shrinks": [
    "a record that shrinks leaves nothing behind, however many parts go",
  ],
  "leaves all but one of what shrinks": [
    "a record that shrinks leaves nothing behind, however many parts go",
  ],
  "deletes the first part only": [
    "a record of several parts goes whole, by a delete, a filter or a clear",
  ],
  "lets go of the first part only": [
    "a record of several parts goes whole, by a delete, a filter or a clear",
  ],
  "clears the first part only": [
    "a record of several parts goes whole, by a delete, a filter or a clear",
  ],
  "clears a page only": ["a record of several parts goes whole, by a delete, a filter or a clear"],
  "names what failed among the puts": [
    "a partial failure names just what failed, and the rest is complete",
  ],
  "clears beyond its scope": ["a copy of a clear removes only what is in its scope"],
  "cuts what is long": ["a long record is whole, whatever letters it has"],
  "writes Latin letters only": ["a long record is whole, whatever letters it has"],
  "folds the case of subjects": ["records whose subjects look alike are strangers"],
  "cleans subjects": ["records whose subjects look alike are strangers"],
  "cuts subjects": ["records whose subjects look alike are strangers"],
  "writes the first sixty of a batch": [
    "a batch of a thousand events is written whole",
    "a delete removes what is of a lower version, by epoch, then position, rank and tail",
    "a partial failure names just what failed, and the rest is complete",
  ],
  "keeps versions to itself": [
    "opened anew, it knows what it wrote and deleted",
    "in another process, it knows what it wrote and deleted",
    "open twice at once, each knows what the other wrote and deleted, and nothing is lost",
  ],
  "keeps versions to its process": ["in another process, it knows what it wrote and deleted"],
  "writes its state unfenced": ["writes its state under the fence of its run"],
  "lets the first of equals stand": [
    "of equal versions the later one stands",
    "a record that a filter lets go, at the version it is held in, is gone, and may return",
  ],
  "takes older versions": [
    "an older version after a newer one changes nothing",
    "opened anew, it knows what it wrote and deleted",
    "a delete removes, and what is older does not come back",
    "what was written before, written again by itself, changes nothing",
    "of two puts the higher version stands, by epoch, then position, rank and tail",
    "a delete removes what is of a lower version, by epoch, then position, rank and tail",
    "open twice at once, each knows what the other wrote and deleted, and nothing is lost",
  ],
  "ignores epochs": [
    "of two puts the higher version stands, by epoch, then position, rank and tail",
    "a delete removes what is of a lower version, by epoch, then position, rank and tail",
  ],
  "ignores ranks and tails": [
    "of two puts the higher version stands, by epoch, then position, rank and tail",
    "a delete removes what is of a lower version, by epoch, then position, rank and tail",
  ],
  "compares versions as numbers": [
    "of two puts the higher version stands, by epoch, then position, rank and tail",
    "a delete removes what is of a lower version, by epoch, then position, rank and tail",
    "an older version after a newer one changes nothing",
    "a delete removes, and what is older does not come back",
    "what was written before, written again by itself, changes nothing",
    "opened anew, it knows what it wrote and deleted",
    "open twice at once, each knows what the other wrote and deleted, and nothing is lost",
  ],
  "compares versions as words": [
    "of two puts the higher version stands, by epoch, then position, rank and tail",
    "a delete removes what is of a lower version, by epoch, then position, rank and tail",
  ],
  "ignores the epochs of tombstones": [
    "a delete removes what is of a lower version, by epoch, then position, rank and tail",
  ],
  "ignores the epoch of a clear": [
    "a clear removes what is of a lower version, by epoch, then position, rank and tail",
  ],
  "forgets what it deleted": [
    "a delete removes, and what is older does not come back",
    "opened anew, it knows what it wrote and deleted",
    "what was written before, written again by itself, changes nothing",
    "a delete removes what is of a lower version, by epoch, then position, rank and tail",
    "open twice at once, each knows what the other wrote and deleted, and nothing is lost",
  ],
  "ignores deletes of what it holds in that version": [
    "a record that a filter lets go, at the version it is held in, is gone, and may return",
    "a record of several parts goes whole, by a delete, a filter or a clear",
  ],
  "ignores deletes beside puts": [
    "one batch that puts and deletes does both",
    "what was written before, written again by itself, changes nothing",
    "open twice at once, each knows what the other wrote and deleted, and nothing is lost",
  ],
  "mixes up partitions": ["keeps the order of each key while partitions write at once"],
  "believes what is redelivered": [
    "what was written before, written again by itself, changes nothing",
    "opened anew, it knows what it wrote and deleted",
    "open twice at once, each knows what the other wrote and deleted, and nothing is lost",
  ],
  "misses what is absent": [
    "a delete of what is absent succeeds",
    "a delete removes what is of a lower version, by epoch, then position, rank and tail",
  ],
  "knows no origins": [
    "records of different origins are strangers",
    "a record of several parts goes whole, by a delete, a filter or a clear",
    "a copy of a clear removes only what is in its scope",
    "of equal versions the later one stands",
    "a record that a filter lets go, at the version it is held in, is gone, and may return",
    "one bad event becomes a dead letter, and the others are written",
    "a clear removes what is of a lower version, by epoch, then position, rank and tail",
    "starts no write after a deadline that passes in the middle of a batch",
    "begins nothing more once it has settled after an abort in the middle of a batch",
    "takes nothing for written that its target refused in an outage, and nothing for poison",
    "writes nothing behind a deadline that passes in an outage",
  ],
  "clears what is at it": [
    "a clear removes what is below it, of its origin only",
    "a clear removes what is of a lower version, by epoch, then position, rank and tail",
  ],
  "clears other origins": [
    "a clear removes what is below it, of its origin only",
    "a clear removes what is of a lower version, by epoch, then position, rank and tail",
    "takes nothing for written that its target refused in an outage, and nothing for poison",
    "writes nothing behind a deadline that passes in an outage",
    "settles within a second of an abort while its target does not answer",
  ],
  "ignores its abort": ["refuses to write after an abort"],
  "goes on behind its abort": [
    "begins nothing more once it has settled after an abort in the middle of a batch",
  ],
  "ignores its deadline": [
    "starts no write after its deadline",
    "starts no write after a deadline that passes in the middle of a batch",
  ],
  "looks at its deadline once": [
    "starts no write after a deadline that passes in the middle of a batch",
  ],
  "looks at its deadline before the first event only": [
    "starts no write after a deadline that passes in the middle of a batch",
  ],
  "reads once what is there": [
    "open twice at once, each knows what the other wrote and deleted, and nothing is lost",
  ],
  "takes what it cannot write for written": [
    "takes nothing for written that its target refused in an outage, and nothing for poison",
    "writes nothing behind a deadline that passes in an outage",
  ],
  "sleeps through its abort in an outage": [
    "takes nothing for written that its target refused in an outage, and nothing for poison",
  ],
  "tries by itself past its deadline": [
    "writes nothing behind a deadline that passes in an outage",
  ],
  "calls an outage poison": [
    "takes nothing for written that its target refused in an outage, and nothing for poison",
  ],
  "waits for its target through an abort": [
    "settles within a second of an abort while its target does not answer",
  ],
  "settles late": ["settles within a second of an abort"],
  "swallows what it refuses": [
    "one bad event becomes a dead letter, and the others are written",
    "a partial failure names just what failed, and the rest is complete",
  ],
  "names what did not fail": [
    "a partial failure names just what failed, and the rest is complete",
    "one bad event becomes a dead letter, and the others are written",
  ],
  "stops at what it refuses": [
    "a partial failure names just what failed, and the rest is complete",
    "one bad event becomes a dead letter, and the others are written",
  ],
  "stops behind the chunk of what it refuses": [
    "a partial failure names just what failed, and the rest is complete",
  ],
  "notes before it writes": [
    "killed at each step, it keeps what stays, and its batch written again makes it whole",
    "a record of several parts goes whole, by a delete, a filter or a clear",
    "of equal versions the later one stands",
    "a record that a filter lets go, at the version it is held in, is gone, and may return",
    "takes nothing for written that its target refused in an outage, and nothing for poison",
    "writes nothing behind a deadline that passes in an outage",
  ],
  "notes a clear before it is done": [
    "killed at each step of a clear, written again it clears what is below, and nothing else",
    "a clear removes what is of a lower version, by epoch, then position, rank and tail",
    "takes nothing for written that its target refused in an outage, and nothing for poison",
  ],
  "lets go of a record when its first part is gone": [
    "killed at each step of a clear, written again it clears what is below, and nothing else",
  ],
  "empties before it writes": [
    "killed at each step, it keeps what stays, and its batch written again makes it whole",
  ],
  "closes once": ["can be closed twice"],
  "leaves a quiet timer": [
    "leaves nothing open: no timer, socket, file, thread, child or listener",
  ],
  "leaves a file open": ["leaves nothing open: no timer, socket, file, thread, child or listener"],
  "leaves a listener": ["leaves nothing open: no timer, socket, file, thread, child or listener"],
  "leaves a timer": ["leaves nothing open: no timer, socket, file, thread, child or listener"],
  "prints its token": ["tells no secret, in no line, error, finding, counter, state or output"],
  "tells its token": ["tells no secret, in no line, error, finding, counter, state or output"],
} satisfies Readonly<Record<string, readonly string[]>>;
