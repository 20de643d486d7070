import { parseFeed } from "htmlparser2";
import { defineListing, RetryableError, z } from "sluice";

/** What the site said of its last answer. Only for as long as a run lasts: after a crash the feed is read whole. */
const validators = new WeakMap<object, Readonly<Record<string, string>>>();

/** Emits the entries of an RSS or Atom feed. An unchanged feed costs one request that is answered with 304. */
export const mySource = defineListing({
  name: "my-source",
  version: "1.0.0",
  summary: "Entries of an RSS or Atom feed.",
  config: z.strictObject({
    url: z.url({ protocol: /^https?$/ }).describe("Where the feed is."),
    everyMs: z
      .number()
      .int()
      .min(100)
      .default(300_000)
      .describe("Milliseconds between looks at the feed."),
  }),
  // A feed forgets: an entry that it no longer lists is old, not gone.
  deletes: false,
  async *list(context) {
    const { url } = context.config;
    const response = await ask(url, validators.get(context) ?? {}, context);
    if (response.status === 304) return;
    const feed = parseFeed(await response.text());
    if (!feed)
      throw new RetryableError(`my-source: ${url} answers something that is no feed.`, {
        code: "my-source.no-feed",
        reason: "refused",
        fix: "Correct the url: it must lead to RSS or Atom, not to a page about it.",
      });
    for (const { id, link, title = "", description = "", pubDate } of feed.items) {
      const key = id ?? link;
      if (key === undefined) continue; // nothing to know it by the next time
      const text = `<h1>${title.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</h1>\n${description}`;
      const isDated = pubDate !== undefined && !Number.isNaN(pubDate.getTime());
      yield {
        key,
        after: { mediaType: "text/html", text, ...(link !== undefined && { uri: link }) },
        ...(isDated && { time: pubDate.toISOString() }),
      };
    }
    validators.set(context, validatorsOf(response));
  },
});

async function ask(
  url: string,
  headers: Readonly<Record<string, string>>,
  { signal }: { readonly signal: AbortSignal },
): Promise<Response> {
  const failed = (why: string, cause?: unknown) =>
    new RetryableError(`my-source: ${url} ${why}.`, {
      code: "my-source.unreachable",
      reason: "unreachable",
      fix: "Check the url, and whether the site is up.",
      cause,
    });
  const patience = AbortSignal.any([signal, AbortSignal.timeout(30_000)]);
  const response = await fetch(url, { headers, signal: patience }).catch((cause: unknown) => {
    throw signal.aborted ? cause : failed("cannot be reached", cause);
  });
  if (response.ok || response.status === 304) return response;
  throw failed(`answers ${response.status}`);
}

function validatorsOf({ headers }: Response): Readonly<Record<string, string>> {
  const [etag, modified] = [headers.get("etag"), headers.get("last-modified")];
  return {
    ...(etag !== null && { "if-none-match": etag }),
    ...(modified !== null && { "if-modified-since": modified }),
  };
}
