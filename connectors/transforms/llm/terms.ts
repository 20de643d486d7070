export type Terms = ReadonlySet<string>;

const words = new Intl.Segmenter("en", { granularity: "word" });

/** Up to 2,000 characters that end with a word, where it ends in time. */
const pieces = /.{1,2000}(?:\s|$)|.{1,2000}/gsu;

/** Words that ask, or hold a sentence together, and say nothing of what it is about. */
const empty = new Set(
  `a about after all also am an and any are as at be because been before being but by can could did do does doing for
  from had has have having he her here hers him his how i if in into is it its just let like many may me might more most
  much must my no not of off on once only or other our out over own please same say says she should so some such tell
  than that the their them then there these they this those through to too under until up us very was we were what when
  where which while who whom whose why will with would you your`.split(/\s+/),
);

/** The words of a text that carry its meaning, in lower case. */
export function termsOf(text: string): Terms {
  const terms = new Set<string>();
  // The segmenter takes the square of a text's length: 6 s for 80,000 characters.
  for (const [piece] of text.normalize("NFKC").toLowerCase().matchAll(pieces))
    for (const { segment, isWordLike } of words.segment(piece)) {
      const word = segment.replace(/['’]s$/, "");
      if (isWordLike && !empty.has(word)) terms.add(word);
    }
  return terms;
}
