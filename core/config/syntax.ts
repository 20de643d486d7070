/** From 1. */
interface Place {
  readonly line: number;
  readonly column: number;
}

/**
 * Where a text stops being JSON. Asked only after `JSON.parse` refused it,
 * because Node 20 does not always say where.
 */
export function syntaxErrorAt(text: string): Place {
  let at = 0;

  const skip = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    at += found?.length ?? 0;
    return found;
  };
  const space = () => skip(/[ \t\r\n]*/y);
  const string = () => {
    const found = skip(/"(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y);
    // Nearer to the mistake than the opening quote: an escape or line break inside.
    if (found === undefined) skip(/"(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/y);
    return found !== undefined;
  };
  const list = (close: RegExp, item: () => boolean): boolean => {
    space();
    if (skip(close)) return true;
    for (;;) {
      if (!item()) return false;
      space();
      if (skip(close)) return true;
      if (!skip(/,/y)) return false;
      space();
    }
  };
  const member = () => string() && (space(), skip(/:/y) !== undefined) && value();
  const value = (): boolean => {
    space();
    if (text[at] === '"') return string();
    if (skip(/\{/y)) return list(/\}/y, member);
    if (skip(/\[/y)) return list(/\]/y, value);
    return skip(/true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y) !== undefined;
  };

  if (value()) space();
  return placeIn(text, at);
}

/** Where a text, JSON or not, begins to nest deeper than `most` levels; `undefined`: nowhere. */
export function tooDeepAt(text: string, most: number): Place | undefined {
  let depth = 0;
  let isText = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '"') isText = !isText;
    else if (isText) at += char === "\\" ? 1 : 0;
    else if (char === "[" || char === "{") depth += 1;
    else if (char === "]" || char === "}") depth -= 1;
    if (depth > most) return placeIn(text, at);
  }
  return undefined;
}

function placeIn(text: string, at: number): Place {
  const before = text.slice(0, at).split("\n");
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}
