/**
 * The address in a Redis URL, without user, password and options, as messages may show it. `undefined`
 * where it is no URL that a client takes: then it may hold a password anywhere, and is not to be shown.
 */
export function redisPlace(text: string): string | undefined {
  try {
    const { protocol, host, pathname, username, password } = new URL(text);
    if (protocol !== "redis:" && protocol !== "rediss:") return undefined;
    // The client decodes them, and throws on a bare %.
    decodeURIComponent(username + password);
    return `${protocol}//${host}${pathname === "/" ? "" : pathname}`;
  } catch {
    return undefined; // said by the answer
  }
}
