import type { Log } from "sluice";
import type { Session } from "../session.ts";
import { arrayOf } from "./arrays.ts";
import { asText, builtIn, byteaOid, extended, type Convert } from "./scalars.ts";

/** What the database says about its types. */
export interface Types {
  readonly knows: (oid: number) => boolean;
  /** Reads them again: a type was made since. */
  readonly refresh: (session: Session) => Promise<void>;
  /** What turns a text of the type into what `after` holds. An unknown type stays text, with one warning. */
  readonly toJson: (oid: number) => Convert;
  /** True when a text has two digits for each stored byte. */
  readonly isBinary: (oid: number) => boolean;
}

interface Fact {
  readonly name: string;
  /** `b` base, `d` domain, `e` enum, `c` composite, `r` range, `m` multirange, `p` pseudo. */
  readonly kind: string;
  /** Of a domain: what it is made of. */
  readonly base: number;
  /** Of an array: what it holds; else 0. */
  readonly element: number;
  readonly delimiter: string;
}

/** Reads `pg_type` whole: some hundred rows, and two for each table. */
export async function loadTypes(session: Session, log: Log): Promise<Types> {
  let facts = await readFacts(session);
  const made = new Map<number, Convert>();
  const warned = new Set<number>();

  /** A domain's base type; of a domain over a domain, the innermost. */
  function baseOf(oid: number): number {
    const fact = facts.get(oid);
    return fact?.kind === "d" ? baseOf(fact.base) : oid;
  }

  function convertOf(oid: number): Convert {
    const base = baseOf(oid);
    const fact = facts.get(base);
    if (fact === undefined) return builtIn.get(base) ?? unknown(base);
    if (fact.element === 0) {
      const foreign = fact.kind === "b" ? extended.get(fact.name) : undefined;
      return builtIn.get(base) ?? foreign ?? asText;
    }
    return arrayOf(toJson(fact.element), facts.get(fact.element)?.delimiter ?? ",");
  }

  function unknown(oid: number): Convert {
    if (!warned.has(oid)) log.warn({ oid }, "a type that the database does not list: left as text");
    warned.add(oid);
    return asText;
  }

  function toJson(oid: number): Convert {
    const convert = made.get(oid) ?? convertOf(oid);
    made.set(oid, convert);
    return convert;
  }

  return {
    knows: (oid) => facts.has(oid),
    refresh: async (session) => {
      facts = await readFacts(session);
      made.clear();
    },
    toJson,
    isBinary: (oid) => baseOf(oid) === byteaOid,
  };
}

// A type with elements that is written in another way (int2vector) is no array.
async function readFacts(session: Session): Promise<ReadonlyMap<number, Fact>> {
  const rows = await session.query(`
    SELECT oid, typname, typtype, typbasetype, typdelim,
      CASE WHEN typoutput = 'array_out'::regproc THEN typelem ELSE 0 END
    FROM pg_type`);
  return new Map(
    rows.map(([oid, name, kind, base, delimiter, element]) => [
      Number(oid),
      {
        name: name ?? "",
        kind: kind ?? "",
        base: Number(base),
        element: Number(element),
        delimiter: delimiter ?? ",",
      },
    ]),
  );
}
