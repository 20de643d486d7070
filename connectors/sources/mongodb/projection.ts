/** Field path → 1 or true: only these; 0 or false: all but these. `_id` may differ from the others. */
export type Projection = Readonly<Record<string, 0 | 1 | boolean>>;

/** What is kept of a document, level by level. */
export interface Shape {
  /** Only what it names is kept; else all but what it names. */
  readonly isInclusive: boolean;
  /** Undefined: the field with all that is in it. False: nothing of it. */
  readonly inside: (name: string) => Shape | undefined | false;
}

/** As MongoDB's `find` projects: paths reach through arrays, `_id` comes along unless it is excluded. */
export function shapeOf(projection: Projection): Shape {
  const isInclusive = includes(projection);
  const paths = Object.keys(projection).filter((path) => path !== "_id");
  const hasId = projection["_id"] !== false && projection["_id"] !== 0;
  if (hasId === isInclusive && !paths.some((path) => path.startsWith("_id."))) paths.push("_id");
  return shape(treeOf(paths), isInclusive);
}

/** What is wrong with it, if anything. */
export function problemOf(projection: Projection): string | undefined {
  const paths = Object.keys(projection);
  if (paths.length === 0) return "names no field";
  const wanted = paths.filter((path) => path !== "_id").map((path) => Boolean(projection[path]));
  if (new Set(wanted).size > 1) return "includes some fields and excludes others: choose one";
  for (const path of paths) {
    const parts = path.split(".");
    if (parts.some((part) => part === "" || part.startsWith("$")))
      return `"${path}" is no field path`;
    const parent = parts.map((_, at) => parts.slice(0, at).join("."));
    const covered = parent.find((one) => one in projection);
    if (covered !== undefined) return `"${path}" lies inside "${covered}"`;
  }
  return undefined;
}

/** True where it lists what is wanted. With `_id` alone, that decides. */
export function includes(projection: Projection): boolean {
  const others = Object.entries(projection).filter(([path]) => path !== "_id");
  const [first] = others.length > 0 ? others : Object.entries(projection);
  return Boolean(first?.[1]);
}

interface Tree extends Map<string, Tree | true> {}

function treeOf(paths: readonly string[]): Tree {
  const root: Tree = new Map();
  for (const path of paths) {
    const parts = path.split(".");
    let level = root;
    parts.forEach((part, at) => {
      const next = level.get(part);
      if (at === parts.length - 1 || next === true) level.set(part, true);
      else {
        const below: Tree = next ?? new Map();
        level.set(part, below);
        level = below;
      }
    });
  }
  return root;
}

function shape(tree: Tree, isInclusive: boolean): Shape {
  const below = new Map(
    [...tree].map(([name, one]) => [name, one === true ? one : shape(one, isInclusive)]),
  );
  return {
    isInclusive,
    inside: (name) => {
      const found = below.get(name);
      if (found === undefined) return isInclusive ? false : undefined;
      if (found === true) return isInclusive ? undefined : false;
      return found;
    },
  };
}
