// Owns how numbers and times are written; refuses to know of what.

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SMALL = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

/** A number with at most one decimal, none where it does not matter. */
export function number(value) {
  return (Math.abs(value) < 100 ? SMALL : WHOLE).format(value);
}

/** A number of events a second, "–" while it is not known. */
export function rate(value) {
  return value === null ? "–" : `${number(value)}/s`;
}

/** "1 zone", "2 zones". */
export function count(amount, noun) {
  return `${WHOLE.format(amount)} ${noun}${amount === 1 ? "" : "s"}`;
}

/** A span of time in its two largest units: "3 d 4 h". */
export function span(seconds) {
  const first = UNITS.findIndex(([size]) => seconds >= size);
  if (first < 0) return "0 s";
  let rest = Math.floor(seconds);
  return UNITS.slice(first, first + 2).map(([size, unit]) => {
    const units = Math.floor(rest / size);
    rest -= units * size;
    return units ? `${units} ${unit}` : "";
  }).filter(Boolean).join(" ");
}

/** Unix time as UTC, the clock of logs and of explain. */
export function moment(at) {
  return new Date(at * 1000).toISOString().replace("T", " ").replace(/\.\d+Z$/, "Z");
}

/** Unix time as UTC, and how long ago that is. */
export function since(at) {
  return `${moment(at)} (${span(Math.max(0, Date.now() / 1000 - at))} ago)`;
}
