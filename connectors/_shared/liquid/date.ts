const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const months = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];

const padded = (number: number, width: number, fill = "0") => String(number).padStart(width, fill);
const hour12 = (at: Date) => at.getUTCHours() % 12 || 12;
const dayOfYear = (at: Date) =>
  Math.floor((at.getTime() - Date.UTC(at.getUTCFullYear(), 0, 1)) / 86_400_000) + 1;

const conversions = new Map<string, (at: Date) => string>([
  ["Y", (at) => padded(at.getUTCFullYear(), 4)],
  ["y", (at) => padded(at.getUTCFullYear() % 100, 2)],
  ["m", (at) => padded(at.getUTCMonth() + 1, 2)],
  ["B", (at) => months[at.getUTCMonth()] ?? ""],
  ["b", (at) => months[at.getUTCMonth()]?.slice(0, 3) ?? ""],
  ["d", (at) => padded(at.getUTCDate(), 2)],
  ["e", (at) => padded(at.getUTCDate(), 2, " ")],
  ["j", (at) => padded(dayOfYear(at), 3)],
  ["A", (at) => days[at.getUTCDay()] ?? ""],
  ["a", (at) => days[at.getUTCDay()]?.slice(0, 3) ?? ""],
  ["u", (at) => String(at.getUTCDay() || 7)],
  ["w", (at) => String(at.getUTCDay())],
  ["H", (at) => padded(at.getUTCHours(), 2)],
  ["k", (at) => padded(at.getUTCHours(), 2, " ")],
  ["I", (at) => padded(hour12(at), 2)],
  ["l", (at) => padded(hour12(at), 2, " ")],
  ["p", (at) => (at.getUTCHours() < 12 ? "AM" : "PM")],
  ["P", (at) => (at.getUTCHours() < 12 ? "am" : "pm")],
  ["M", (at) => padded(at.getUTCMinutes(), 2)],
  ["S", (at) => padded(at.getUTCSeconds(), 2)],
  ["L", (at) => padded(at.getUTCMilliseconds(), 3)],
  ["s", (at) => String(Math.floor(at.getTime() / 1_000))],
  ["z", () => "+0000"],
  ["Z", () => "UTC"],
  ["F", (at) => at.toISOString().slice(0, 10)],
  ["R", (at) => at.toISOString().slice(11, 16)],
  ["T", (at) => at.toISOString().slice(11, 19)],
  ["%", () => "%"],
]);

/**
 * Liquid's `date` in UTC and English: the engine's own reads the zone and the language of the
 * machine, and `now` its clock. What is no date is left as it is. Throws on an unknown format.
 */
export function date(value: unknown, format: unknown = "%Y-%m-%d"): unknown {
  const at = instantOf(value);
  if (at === undefined) return value;
  return String(format).replace(directive, (all, flag: string, name: string) => {
    const convert = conversions.get(name);
    if (convert === undefined) throw new Error(unknownFormat(all));
    const text = convert(at);
    switch (flag) {
      case "-":
        return text.replace(/^[0 ]+(?=.)/, "");
      case "^":
        return text.toUpperCase();
      default:
        return text;
    }
  });
}

const directive = /%([-^]?)([^-^]|$)/gs;

/** What is wrong with a format, if anything. */
export function formatProblem(format: string): string | undefined {
  const [unknown] = Array.from(format.matchAll(directive)).filter(
    ([, , name = ""]) => !conversions.has(name),
  );
  return unknown && unknownFormat(unknown[0]);
}

function unknownFormat(text: string): string {
  return `date knows no "${text}"; write %${[...conversions.keys()].join(" %")}, with - for no padding and ^ for capitals`;
}

/** RFC 3339, a space for the T, zone and time of day optional (UTC, midnight); or seconds since 1970. */
function instantOf(value: unknown): Date | undefined {
  if (typeof value === "number" || (typeof value === "string" && /^\d{1,12}$/.test(value)))
    return valid(new Date(Number(value) * 1_000));
  if (typeof value !== "string") return undefined;
  const [, day, time = "00:00", milliseconds = "", zone = "Z"] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(\.\d{1,3})?\d* ?(Z|[+-]\d\d(?::?\d\d)?)?)?$/.exec(
      value,
    ) ?? [];
  if (day === undefined) return undefined;
  const [, hours, minutes = "00"] = /^([+-]\d\d):?(\d\d)?$/.exec(zone) ?? [];
  const offset = hours === undefined ? zone : `${hours}:${minutes}`;
  return valid(new Date(`${day}T${time}${milliseconds}${offset}`));
}

function valid(at: Date): Date | undefined {
  return Number.isNaN(at.getTime()) ? undefined : at;
}
