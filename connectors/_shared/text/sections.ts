import type { FromMarkdown } from "./blocks.ts";
import type { Breathe } from "./breathe.ts";
import { sectionsOf } from "./markdown.ts";
import { isMarkdown } from "./media-type.ts";
import { paragraphsOf } from "./prose.ts";
import type { Section } from "./section.ts";

/** The sections of a document's text: along the headings of Markdown, or all of it as one. */
export async function* sectionsIn(
  { text, mediaType }: { readonly text: string; readonly mediaType?: string },
  reading: {
    readonly fromMarkdown: FromMarkdown;
    /** Headings leave the text for the path. */
    readonly asPath: boolean;
    readonly breathe: Breathe;
  },
): AsyncGenerator<Section> {
  if (isMarkdown(mediaType)) yield* sectionsOf(text, reading);
  else yield { path: [], units: () => paragraphsOf(text) };
}
