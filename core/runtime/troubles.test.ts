import { expect, it } from "vitest";
import { RetryableError } from "../errors.ts";
import { statusBoard } from "./board.ts";
import { sharedBoard } from "./troubles.ts";

const refused = new RetryableError("refused", { code: "test.refused", reason: "refused" });
const away = new RetryableError("away", { code: "test.away", reason: "unreachable" });

function opened() {
  const who = { name: "hook", kind: "sink", type: "http" } as const;
  const board = statusBoard(who, { scrub: (text) => text });
  const partOf = sharedBoard(board);
  return { partOf, told: () => [board.read().state, board.read().error?.code] };
}

it("a partition that is refused shows, though others succeed beside it", () => {
  const { partOf, told } = opened();
  const [stuck, fine] = [partOf(), partOf()];
  stuck.trouble("failing", refused);
  fine.become("running");
  expect(told()).toEqual(["failing", "test.refused"]);
  fine.trouble("failing", away);
  fine.become("running");
  expect(told()).toEqual(["failing", "test.refused"]);
  stuck.become("running");
  expect(told()).toEqual(["running", undefined]);
});

it("what was handed back troubles nobody any more, once something succeeds", () => {
  const { partOf, told } = opened();
  const [fenced, fine] = [partOf(), partOf()];
  fenced.trouble("failing", refused);
  fenced.close();
  fine.become("running");
  expect(told()).toEqual(["running", undefined]);
});
