import type { EmbedderDescription, Segment } from "sluice";
import type { Breathe } from "../../_shared/text/breathe.ts";
import { leastTokens } from "../../_shared/text/room.ts";
import type { Section } from "../../_shared/text/section.ts";
import type { Unit } from "../../_shared/text/unit.ts";

/** The largest stretches of a section that have at most `room` tokens, in order: paragraphs, else sentences, else words. */
export async function* segmentsOf(
  text: string,
  section: Section,
  {
    room,
    model,
    breathe,
  }: {
    readonly room: number;
    readonly model: EmbedderDescription;
    readonly breathe: Breathe;
  },
): AsyncGenerator<Segment> {
  const special = model.countTokens("");
  const fits = (start: number, end: number) =>
    leastTokens(end - start) <= room && tokensOf(start, end) <= room;
  const tokensOf = (start: number, end: number) =>
    model.countTokens(text.slice(start, end)) - special;

  async function* within(units: Iterable<Unit>): AsyncGenerator<Segment> {
    for (const { start, end, cut } of units) {
      await breathe();
      // Only what may fit is worth counting: a long text would take long, at each level of its nesting.
      const tokens = leastTokens(end - start) <= room ? tokensOf(start, end) : Infinity;
      if (tokens <= room) yield { start, end, tokens };
      else yield* within(cut(fits));
    }
  }
  yield* within(section.units());
}
