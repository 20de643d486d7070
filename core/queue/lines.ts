import type { Json } from "../event.ts";
import type { Entry, StateStore, StateWrite } from "../state/state.ts";
import type { Line, ParkedLetter } from "./queue.ts";

/** Of a line: what is known of all of it. */
const ofLine = "m/";
/** Of a letter's place in a line: its id. */
const ofPlace = "w/";

/** The lines in which dead letters of one connector stand, kept beside the letters. */
export interface Lines {
  readonly read: (names: readonly string[]) => Promise<readonly (Line | undefined)[]>;
  /** The writes that put a letter at its place; they hold only for a line that is as it was `before`. */
  readonly placing: (letter: ParkedLetter, before: Line | undefined) => readonly StateWrite[];
  /** The writes that take letters from their places. */
  readonly leaving: (letters: readonly Place[]) => readonly StateWrite[];
  /** Ids, the first one first. */
  readonly standing: (name: string) => AsyncIterable<readonly string[]>;
  readonly release: (name: string) => Promise<void>;
  readonly occupied: (name: string) => Promise<Line | undefined>;
}

interface Place {
  readonly line?: string;
  readonly order?: string;
}

export function openLines(state: StateStore): Lines {
  const read: Lines["read"] = async (names) =>
    (await state.get(names.map((name) => ofLine + name))).map(toLine);
  const standing = async function* (name: string, pageSize?: number) {
    for await (const page of state.scan(`${ofPlace}${name}/`, pageSize ? { pageSize } : {}))
      yield page.map(({ value }) => value as string); // written by `placing` only
  };
  const isEmpty = async (name: string) => {
    for await (const page of standing(name, 1)) if (page.length > 0) return false;
    return true;
  };

  return {
    read,
    standing,
    placing: ({ id, line, order }, before) => [
      { key: placeOf(line, order), value: id },
      {
        key: ofLine + line,
        value: { last: before && before.last > order ? before.last : order, isReleased: false },
        expect: before?.revision ?? 0,
      },
    ],
    leaving: (letters) =>
      letters.flatMap(({ line, order }) =>
        line === undefined || order === undefined
          ? []
          : [{ key: placeOf(line, order), value: undefined }],
      ),
    release: async (name) => {
      for (;;) {
        const [line] = await read([name]);
        if (!line || line.isReleased) return;
        const { last, revision } = line;
        const value = { last, isReleased: true };
        const [isDone] = await state.each([{ key: ofLine + name, value, expect: revision }]);
        if (isDone) return;
      }
    },
    occupied: async (name) => {
      for (;;) {
        const [line] = await read([name]);
        if (!line || !(await isEmpty(name))) return line;
        // Unless a letter came to it meanwhile.
        const write = { key: ofLine + name, value: undefined, expect: line.revision };
        const [isDone] = await state.each([write]);
        if (isDone) return undefined;
      }
    },
  };
}

function placeOf(line: string, order: string): string {
  return `${ofPlace}${line}/${order}`;
}

function toLine(entry: Entry | undefined): Line | undefined {
  if (!entry) return undefined;
  const { last, isReleased } = entry.value as { last: string; isReleased: boolean } & Json; // written here only
  return { last, isReleased, revision: entry.revision };
}
