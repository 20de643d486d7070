import { randomUUID } from "node:crypto";
import type { StatePlace } from "../state/state.ts";

/** No connector can have this name, and `remove` does not reach it. */
const scopeName = "@place";
const key = "id";

/** What tells a state from every other one: made once, and copied with it. */
export async function idOf(place: StatePlace): Promise<string> {
  const { state } = place.scope(scopeName);
  for (;;) {
    const [stored] = await state.get([key]);
    if (typeof stored?.value === "string") return stored.value;
    await state.all([{ key, value: randomUUID(), expect: 0 }]); // or another process has
  }
}
