// What is done to the documents, and what a search must show then.

const titles = (matches) => new Set(matches.map(({ metadata }) => metadata.title));
const has = (matches, title) => titles(matches).has(title);
const best = ([first], title) => first?.metadata.title === title;
const says = (matches, words) => matches.some(({ metadata }) => metadata.text.includes(words));
const from = (matches, collection) =>
  matches.filter(({ metadata }) => metadata._src.endsWith(`.${collection}`));

const dumplings = {
  title: "Dumplings with cabbage",
  cuisine: "Chinese",
  tags: ["vegan"],
  minutes: 90,
  status: "published",
  ingredients: [{ name: "dumpling wrappers", amount: "40" }],
  steps: ["Salt the chopped cabbage and wring it out: wet filling bursts the wrappers."],
  author: { name: "Wen Li" },
};

/** `shows` is asked with the matches of `question`, best first, until it holds. */
export const stepsOf = ({ client, database, own }) => {
  const recipes = database.collection("recipes");
  const tips = database.collection("tips");
  return [
    {
      name: "copy: all that is published is in the index",
      question: "how do I get a crisp skin on poultry?",
      shows: (matches) =>
        best(matches, "Roast chicken") &&
        titles(matches).size === 15 &&
        !has(matches, "Beef stew with prunes"),
    },
    {
      name: "insertOne: found",
      act: () => recipes.insertOne(dumplings),
      question: "the wrappers of my dumplings burst",
      shows: (matches) => best(matches, "Dumplings with cabbage"),
    },
    {
      name: "$set inside an array: the new text, not the old",
      act: () =>
        recipes.updateOne(
          { title: "Roast chicken" },
          {
            $set: {
              "steps.1":
                "Push butter and thyme under the skin and roast at 180 degrees for 90 minutes.",
            },
          },
        ),
      question: "how long does a chicken stay in the oven?",
      shows: (matches) => says(matches, "for 90 minutes") && !says(matches, "for 70 minutes"),
    },
    {
      name: "an update of what is only metadata",
      act: () =>
        recipes.updateOne({ title: "Shakshuka" }, { $set: { "author.name": "Leïla Amrani" } }),
      question: "eggs in tomato sauce for breakfast",
      shows: ([first]) => first?.metadata.author === "Leïla Amrani",
    },
    {
      name: "published: it comes; withdrawn: it goes",
      act: async () => {
        await recipes.updateOne(
          { title: "Beef stew with prunes" },
          { $set: { status: "published" } },
        );
        await recipes.updateOne({ title: "Chocolate mousse" }, { $set: { status: "draft" } });
      },
      question: "a beef stew that stays in the oven for hours",
      shows: (matches) =>
        best(matches, "Beef stew with prunes") && !has(matches, "Chocolate mousse"),
    },
    {
      name: "a transaction over both collections: all of it",
      act: () =>
        client.withSession((session) =>
          session.withTransaction(async () => {
            await recipes.deleteOne({ title: "Potato rösti" }, { session });
            await tips.insertOne(
              {
                title: "Grating potatoes",
                text: "Boil potatoes the day before you grate them: cold they keep their threads.",
                status: "published",
                author: { name: "The test kitchen" },
              },
              { session },
            );
          }),
        ),
      question: "should potatoes be warm or cold for grating?",
      shows: (matches) => best(matches, "Grating potatoes") && !has(matches, "Potato rösti"),
    },
    ...(own
      ? [
          {
            name: "kill -9 of the primary, then an insert: found",
            act: async () => {
              await (await own.primary()).kill();
              await tips.insertOne({
                title: "A pan on fire",
                text: "Burning fat is never put out with water: put the lid on and turn off the heat.",
                status: "published",
                author: { name: "The test kitchen" },
              });
            },
            question: "the oil in my pan has caught fire",
            shows: (matches) => best(matches, "A pan on fire"),
          },
        ]
      : []),
    {
      name: "deleteOne: gone",
      act: () => recipes.deleteOne({ title: "Fermented cucumbers" }),
      question: "how much salt goes into the brine of pickles?",
      shows: (matches) => matches.length > 0 && !has(matches, "Fermented cucumbers"),
    },
    {
      name: "drop of the tips: gone, the recipes stay",
      act: () => tips.drop(),
      question: "how do I sharpen a knife?",
      shows: (matches) => from(matches, "tips").length === 0 && from(matches, "recipes").length > 0,
    },
  ];
};
