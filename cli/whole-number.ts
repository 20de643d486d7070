import { InvalidArgumentError } from "commander";

/** Parses an option that is a whole number; the error says which ones are. */
export function wholeNumber(least: number, most?: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    const isOne = text.trim() !== "" && Number.isInteger(number);
    if (isOne && number >= least && number <= (most ?? Infinity)) return number;
    throw new InvalidArgumentError(
      most === undefined
        ? `Write a whole number, ${least} or more.`
        : `Write a whole number from ${least} to ${most}.`,
    );
  };
}
