export type Path = readonly PropertyKey[];

/** `connectors[0].config["a.b"]`; empty for the root. */
export function toJsonPath(path: Path): string {
  let text = "";
  for (const key of path) {
    if (typeof key === "number") text += `[${key}]`;
    else if (/^[A-Za-z_$][\w$-]*$/.test(String(key))) text += (text && ".") + String(key);
    else text += `[${JSON.stringify(String(key))}]`;
  }
  return text;
}

/** What stands at `path`; `undefined` when nothing does. */
export function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const key of path) {
    if (value === null || typeof value !== "object" || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}
