/** By the source and what it does wrong: the case that is there to catch it, and those that catch it as well. */
export const expectedOfSources = {
  journal: {
    "begins with what is yet to come": [
      "first emits everything that exists, whatever letters it has",
    ],
    "looks only once": ["emits what appears while it runs"],
    "takes the newest page for all there is": [
      "emits every record of many, and takes none for gone",
    ],
    "has its checkpoint run ahead of its batch": [
      "stopped after one batch of many large records, it goes on with the rest",
    ],
    "never returns from its abort": ["returns within a second of an abort, idle or not asked"],
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
      "stopped after one batch of many large records, it goes on with the rest",
      "resumes after its checkpoint: nothing old, nothing missed",
      "emits a delete that happened while it was down",
      "resumes from every checkpoint with all that followed",
      "names the same change alike in every run: one id a version, all of it alike",
      "a snapshot that a crash ended is finished when it is asked for again, once",
      "tells of an outage, takes nothing for gone because of it, and goes on after it",
      "returns within a second of an abort while its origin does not answer",
    ],
    "keeps its position elsewhere": [
      "resumes from every checkpoint with all that followed",
      "names the same change alike in every run: one id a version, all of it alike",
    ],
    "keeps its position before it publishes": [
      "killed at each step, it loses nothing and brings nothing back",
      "stopped after one batch of many large records, it goes on with the rest",
      "killed between publishing and the checkpoint, it emits again, never with a lower version",
    ],
    "forgets deletes": [
      "emits a delete with a higher version",
      "emits a delete that happened while it was down",
      "a record that comes back is emitted again",
      "what it emitted just before a crash and is removed while it is down, it deletes",
      "a snapshot on request reads everything again and ends with a sweep",
      "a catch-up snapshot is addressed to its audience",
      "completes each request once, with its sweep or after it",
    ],
    "misses deletes while it is down": ["emits a delete that happened while it was down"],
    "gives every change one version": [
      "gives a later change a higher version, another id and the same partition key",
      "keeps the order of each key while many change at once",
      "emits a delete with a higher version",
      "a record that comes back is emitted again",
      "a change it emitted just before a crash and is taken back while it is down, it takes back",
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
    "numbers versions by process": ["names the same change alike in another process"],
    "numbers versions from one in each process": ["names the same change alike in another process"],
    "ends versions at random": [
      "killed between publishing and the checkpoint, it emits again, never with a lower version",
    ],
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
      "tells of an outage, takes nothing for gone because of it, and goes on after it",
    ],
    "gives what it reads at once one version": [
      "keeps the order of each key while many change at once",
      "a change it emitted just before a crash and is taken back while it is down, it takes back",
    ],
    "takes an outage for silence": [
      "tells of an outage, takes nothing for gone because of it, and goes on after it",
    ],
    "takes an outage for deletes": [
      "tells of an outage, takes nothing for gone because of it, and goes on after it",
    ],
    "jumps ahead behind a snapshot": [
      "what changes while a snapshot on request is read is told, and stands",
    ],
    "tells its token in an outage": [
      "tells of an outage, takes nothing for gone because of it, and goes on after it",
    ],
    "sleeps through its abort in an outage": [
      "tells of an outage, takes nothing for gone because of it, and goes on after it",
    ],
    "gives up in an outage": [
      "tells of an outage, takes nothing for gone because of it, and goes on after it",
    ],
    "waits for its origin through an abort": [
      "returns within a second of an abort while its origin does not answer",
    ],
    "takes the ends of lines for blanks": [
      "emits a text as it was put, line ends and markup and all, and an empty one too",
    ],
    "takes what is empty for gone": [
      "emits a text as it was put, line ends and markup and all, and an empty one too",
    ],
    "names records in small letters": ["names a record as its origin does, long or in capitals"],
    "cuts the names of records": ["names a record as its origin does, long or in capitals"],
    "leaves a listener on the process": [
      "leaves nothing open: no timer, socket, file, thread, child or listener",
    ],
    "sleeps through its abort": ["returns within a second of an abort, idle or not asked"],
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
    "tells a token that is taken": [
      "tells no secret, in no line, error, finding, counter, state or output",
    ],
    "tells its token in Base64": [
      "tells no secret, in no line, error, finding, counter, state or output",
    ],
    "keeps its token": ["tells no secret, in no line, error, finding, counter, state or output"],
    "tells its token": ["tells no secret, in no line, error, finding, counter, state or output"],
    "never completes": [
      "completes each request once, with its sweep or after it",
      "a snapshot that a crash ended is finished when it is asked for again, once",
      "requests at once are each read for their audience",
    ],
    "completes too early": [
      "completes each request once, with its sweep or after it",
      "a snapshot that a crash ended is finished when it is asked for again, once",
      "requests at once are each read for their audience",
    ],
    "forgets the audience": [
      "a catch-up snapshot is addressed to its audience",
      "a snapshot that a crash ended is finished when it is asked for again, once",
      "requests at once are each read for their audience",
    ],
    "sweeps what it just read": [
      "a snapshot on request reads everything again and ends with a sweep",
    ],
    "only sweeps when it has resumed": [
      "a snapshot that a crash ended is finished when it is asked for again, once",
    ],
    "has a request run ahead of its batch": [
      "a snapshot of many large records that is stopped after each batch goes on with the rest",
    ],
    "sweeps too low": [
      "a snapshot on request reads everything again and ends with a sweep",
      "a catch-up snapshot is addressed to its audience",
      "completes each request once, with its sweep or after it",
    ],
    "reads once for all who asked": ["requests at once are each read for their audience"],
    "takes no request again after a crash": [
      "a snapshot that a crash ended is finished when it is asked for again, once",
    ],
  },
  outbox: {
    "confirms nothing": ["confirms at its origin what is settled"],
    "confirms what is not settled": [
      "confirms nothing at its origin before it is settled",
      "resumes from every checkpoint with all that followed",
      "names the same change alike in every run: one id a version, all of it alike",
      "killed between publishing and the checkpoint, it emits again, never with a lower version",
      "a change it emitted just before a crash and is taken back while it is down, it takes back",
      "returns within a second of an abort, idle or not asked",
    ],
  },
} satisfies Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
