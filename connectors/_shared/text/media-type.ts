/** The media types we read as Markdown. */
export function isMarkdown(mediaType: string | undefined): boolean {
  return mediaType === "text/markdown" || mediaType === "text/x-markdown";
}
