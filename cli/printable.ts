// oxlint-disable no-control-regex -- these are what it looks for
/** What `paint` writes, and nothing else that a terminal obeys. */
const ours = /^\u001b\[(?:1|2|22|3[1236]|39)m$/;
const obeyed = /\u001b\[\d*m|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/**
 * A text that is safe on a terminal. Documents, events and what servers answer may hold sequences that rewrite the
 * screen, the title or the clipboard: their control characters become U+FFFD. Our own colours, tabs and line ends stay.
 */
export function printable(text: string): string {
  return text.replaceAll(obeyed, (found) => (ours.test(found) ? found : "\u{FFFD}"));
}
