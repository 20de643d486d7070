import { expect, it, vi } from "vitest";
import { openOutput } from "./output.ts";
import { printable } from "./printable.ts";

it("leaves what people write, and our own colours", () => {
  const text = "Größe:\t3 µm\n日本 🙂";
  expect(printable(text)).toBe(text);
  const painted = "\u001b[1mbold\u001b[22m \u001b[32mgreen\u001b[39m";
  expect(printable(painted)).toBe(painted);
});

it.each([
  ["a title", "\u001b]0;owned\u0007", "\u{FFFD}]0;owned\u{FFFD}"],
  ["the clipboard", "\u001b]52;c;aaaa\u001b\\", "\u{FFFD}]52;c;aaaa\u{FFFD}\\"],
  ["a cleared screen", "\u001b[2J", "\u{FFFD}[2J"],
  ["hidden text", "\u001b[8msecret", "\u{FFFD}secret"],
  ["an overwritten line", "no\ryes", "no\u{FFFD}yes"],
  ["C1 controls", "\u009b2J", "\u{FFFD}2J"],
])("takes away %s", (_, text, safe) => {
  expect(printable(text)).toBe(safe);
});

it("is what every answer, failure and note for a person goes through", () => {
  const output = openOutput([], {});
  const written: string[] = [];
  const keep = (text: string | Uint8Array) => written.push(String(text)) > 0;
  const spies = [process.stdout, process.stderr].map((stream) =>
    vi.spyOn(stream, "write").mockImplementation(keep),
  );
  try {
    output.result("ask", {}, () => "a\u001b[2J");
    output.line("b\u001b[2J");
    output.note("c\u001b[2J");
    output.failure("ask", new Error("d\u001b[2J"));
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  expect(written.map((text) => text[0])).toEqual(["a", "b", "c", "✗"]);
  for (const text of written) expect(text).not.toContain("\u001b");
});
