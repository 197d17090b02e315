// Owns reading Prometheus' text format, and what has changed between two readings; refuses to know any metric.

const SAMPLE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const ESCAPED = { "\\\\": "\\", '\\"': '"', "\\n": "\n" };

/** The samples of some metrics: name → list of {labels, value}. A metric that is not there has an empty list. */
export function read(text, names) {
  const found = new Map(names.map((name) => [name, []]));
  for (const line of text.split("\n")) {
    const name = line.slice(0, line.search(/[{ ]/));
    const match = found.has(name) && SAMPLE.exec(line);
    if (match) found.get(name).push({ labels: labels(match[2] ?? ""), value: Number(match[3]) });
  }
  return found;
}

function labels(text) {
  return Object.fromEntries([...text.matchAll(LABEL)].map(([, name, value]) =>
    [name, value.replace(/\\[\\"n]/g, (escape) => ESCAPED[escape])]));
}

/** Sums of samples by some of their labels: "a\0b" → sum. */
export function sums(samples, ...by) {
  const found = new Map();
  for (const { labels: all, value } of samples) {
    const key = by.map((label) => all[label] ?? "").join("\0");
    found.set(key, (found.get(key) ?? 0) + value);
  }
  return found;
}

/** Counters over the last seconds. */
export class Window {
  #readings = [];
  #span;

  constructor(seconds) {
    this.#span = seconds;
  }

  /** Note a reading: key → counter. One that has gone back, as after a restart, makes everything before it worthless. */
  note(now, counters) {
    const last = this.#readings.at(-1);
    if (last && [...last.counters].some(([key, value]) => (counters.get(key) ?? 0) < value)) this.#readings = [];
    this.#readings.push({ now, counters });
    while (this.#readings.length > 2 && this.#readings[1].now <= now - this.#span) this.#readings.shift();
  }

  /** By how much each has grown; a key that was not there has grown from 0. */
  growth() {
    const [first, last] = [this.#readings[0], this.#readings.at(-1)];
    return new Map([...last?.counters ?? []].map(([key, value]) => [key, value - (first.counters.get(key) ?? 0)]));
  }

  /** How fast each grows, a second; null while there is only one reading. */
  rates() {
    const [first, last] = [this.#readings[0], this.#readings.at(-1)];
    if (this.#readings.length < 2) return null;
    return new Map([...this.growth()].map(([key, grown]) => [key, grown / (last.now - first.now)]));
  }
}
