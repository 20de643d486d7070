import pairs from "./pairs.json" with { type: "json" };

export interface Pair {
  readonly question: string;
  /** How the question relates to its passage. */
  readonly kind: string;
  /** Where the answer stands: the file, and the whole passage under its heading. */
  readonly file: string;
  readonly passage: string;
}

const sites =
  "Altona Bruges Cádiz Delft Esbjerg Faro Girona Husum Ivrea Jena Kaunas Lugo Malmö Narva Odense Porto Quimper Rostock Siena Tromsø Utrecht Vigo Worms Ystad Zadar Arles Bonn Como Dover Ghent".split(
    " ",
  );

/** A hundred questions, each answered by one passage of the corpus. */
export const answered: readonly Pair[] = pairs.documents.flatMap(({ name, sections }) =>
  sections.map(({ question, kind, text }) => ({ question, kind, file: name, passage: text })),
);

/** Questions that no passage answers, half of them about things that the corpus does speak of. */
export const unanswered: readonly string[] = pairs.unanswered;

export const kinds: readonly string[] = [...new Set(answered.map(({ kind }) => kind))];

/** The corpus as Markdown files: the passages that answer, and as many again three times that resemble them. */
export const files: ReadonlyMap<string, string> = new Map([
  ...pairs.documents.map(
    ({ name, title, sections }) =>
      [
        name,
        [`# ${title}`, ...sections.map(({ heading, text }) => `## ${heading}\n\n${text}`)].join(
          "\n\n",
        ),
      ] as const,
  ),
  ...distractors(),
]);

/** Ten passages about each of thirty places: the same subjects, of other places, and with other numbers. */
function distractors(): readonly (readonly [string, string])[] {
  return sites.map((site, n) => {
    const sections = [
      `The branch in ${site} was rented in ${1990 + n} and has ${20 + n} desks on ${1 + (n % 4)} floors.`,
      `Leaflets about the station in ${site} are printed each spring in ${2 + (n % 5)} colours on recycled paper.`,
      `The mast in ${site} is ${12 + n} metres high, was painted red and white, and stands behind the fire brigade.`,
      `In ${site} the mean temperature of July is ${15 + (n % 12)} degrees, and it rains on ${90 + 3 * n} days of a year.`,
      `The minutes of the meeting in ${site} mention a new printer, ${3 + n} chairs and a quarrel about the window.`,
      `The town council of ${site} ordered ${4 + n} thermometers for its schools and paid within ${10 + n} days.`,
      `Employees in ${site} have an allotment by the canal, where they grow beans, and meet there ${2 + (n % 6)} times a summer.`,
      `The van of ${site} has run ${40 + 7 * n} thousand kilometres and loses oil; its key hangs beside the map.`,
      `A customer in ${site} praised the manual, but missed a drawing of page ${30 + n} and a longer cable.`,
      `The former manager of ${site} collects stamps and retired after ${11 + n} years with a party on a ferry.`,
    ];
    const body = sections.map((text, at) => `## ${site}, note ${at + 1}\n\n${text}`);
    return [`sites/${site.toLowerCase()}.md`, [`# ${site}`, ...body].join("\n\n")] as const;
  });
}
