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
  return new Set(wordsOf(text.normalize("NFKC").toLowerCase()).filter((word) => !empty.has(word)));
}

/** Those words of a text, in lower case, that name one thing and no other: with a digit, or a capital within. */
export function namesIn(text: string): Terms {
  const names = wordsOf(text).filter((word) => /\p{N}|\p{Ll}\p{Lu}/u.test(word));
  return new Set(names.map((word) => word.toLowerCase()));
}

function wordsOf(text: string): readonly string[] {
  // The segmenter takes the square of a text's length: 6 s for 80,000 characters.
  return [...text.normalize("NFKC").matchAll(pieces)].flatMap(([piece]) =>
    [...words.segment(piece)]
      .filter(({ isWordLike }) => isWordLike)
      .map(({ segment }) => segment.replace(/['’]s$/, "")),
  );
}
