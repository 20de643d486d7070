import { PoisonError } from "sluice";

/** The content is not what its media type says. */
export function damaged(address: string, why: string, cause?: unknown): PoisonError {
  return new PoisonError(`parse: "${address}" cannot be read: ${why}.`, {
    code: "parse.invalid",
    fix: "Mend the file, or exclude it in the source.",
    cause,
  });
}

/** More of something than is allowed. */
export function tooLarge(address: string, what: string, option: string): PoisonError {
  return new PoisonError(`parse: "${address}" has ${what}.`, {
    code: "parse.too-large",
    fix: `Raise \`${option}\`, or exclude the file in the source.`,
  });
}

export function tooSlow(address: string, timeoutMs: number): PoisonError {
  return new PoisonError(`parse: "${address}" was not read within ${timeoutMs} ms.`, {
    code: "parse.too-slow",
    fix: "Raise `timeoutMs`, or exclude the file in the source.",
  });
}

/** Counts the text that is made of one file; throws when it is more than `maxInflatedBytes`. */
export function growth(address: string, maxInflatedBytes: number): (length: number) => void {
  let total = 0;
  return (length) => {
    total += length;
    if (total > maxInflatedBytes)
      throw tooLarge(
        address,
        `more than ${maxInflatedBytes} characters of text`,
        "maxInflatedBytes",
      );
  };
}
