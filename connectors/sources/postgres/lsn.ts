import { SluiceError } from "sluice";

/** `16/B374D848` as a number. LSNs are compared as numbers: their texts do not sort. */
export function parseLsn(text: string): bigint {
  const [, high, low] = /^([0-9a-f]{1,8})\/([0-9a-f]{1,8})$/i.exec(text) ?? [];
  if (high === undefined || low === undefined)
    throw new SluiceError(`postgres: ${JSON.stringify(text)} is no log position.`, {
      code: "postgres.protocol",
      fix: "A position is two hexadecimal numbers, e.g. 16/B374D848.",
    });
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

/** As PostgreSQL writes it: two hexadecimal numbers in capitals, without leading zeros. */
export function formatLsn(lsn: bigint): string {
  const hex = (value: bigint) => value.toString(16).toUpperCase();
  return `${hex(lsn >> 32n)}/${hex(lsn & 0xffff_ffffn)}`;
}
