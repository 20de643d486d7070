import type { Board } from "./board.ts";

type Part = Pick<Board, "become" | "trouble" | "meter"> & {
  /** It is over, however it ended. */
  readonly close: () => void;
};

/**
 * Splits a board among calls that go on at the same time: while one of them is in trouble the board shows that,
 * whatever succeeds beside it.
 */
export function sharedBoard(board: Pick<Board, "become" | "trouble" | "meter">): () => Part {
  const troubles = new Map<object, unknown>();
  return () => {
    const call = {};
    return {
      become: (state) => {
        troubles.delete(call);
        const [other] = troubles;
        if (other) board.trouble("failing", other[1]);
        else board.become(state);
      },
      trouble: (state, error) => {
        troubles.set(call, error);
        board.trouble(state, error);
      },
      meter: board.meter,
      close: () => void troubles.delete(call),
    };
  };
}
