/** Tells a measure: a JSON line, or a line to read. */
export type Say = (measure: string, result: object) => void;

export function sayer(isJson: boolean): Say {
  return (measure, result) => {
    const pairs = Object.entries(result).map(([name, value]) => `${name} ${String(value)}`);
    process.stdout.write(
      isJson ? `${JSON.stringify({ measure, ...result })}\n` : `${measure}: ${pairs.join(", ")}\n`,
    );
  };
}
