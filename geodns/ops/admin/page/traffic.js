// Owns drawing live rates; refuses to know where the numbers come from.

import { element, show, svg } from "./dom.js";
import { Window, sums } from "./exposition.js";
import { number, rate } from "./words.js";

const SHOWN = 120;  // s of the sparkline
const OVER = 10;  // s over which a breakdown is taken
const MOST = 6;  // bars of a breakdown
const BREAKDOWNS = [
  ["Responses", "geodns_responses_total", ["rcode"]],
  ["Types", "geodns_queries_total", ["type"]],
  ["Who decided", "geodns_rung_total", ["rung"]],
  ["Endpoints", "geodns_pool_answers_total", ["pool", "site", "endpoint"]],
];

/** The metrics that are drawn here. */
export const METRICS = [...BREAKDOWNS.map(([, metric]) => metric), "geodns_udp_kernel_drops_total"];

const queries = [];  // {at, rate}
const counter = new Window(1.5);
const transports = new Window(OVER);
const drops = new Window(OVER);
const windows = BREAKDOWNS.map(() => new Window(OVER));

/** Note the count of all queries at a moment, in seconds of any clock that does not jump. */
export function noteQueries(now, total) {
  counter.note(now, new Map([["", total]]));
  queries.push({ at: now, rate: counter.rates()?.get("") ?? null });
  while (queries[0].at < now - SHOWN) queries.shift();
}

/** Note a reading of the metrics. */
export function noteMetrics(now, metrics) {
  BREAKDOWNS.forEach(([, metric, by], index) => windows[index].note(now, sums(metrics.get(metric), ...by)));
  transports.note(now, sums(metrics.get("geodns_queries_total"), "transport"));
  drops.note(now, sums(metrics.get("geodns_udp_kernel_drops_total")));
}

/** Draw what was noted. */
export function drawTraffic() {
  const now = queries.at(-1)?.rate ?? null;
  const lost = drops.rates()?.get("") ?? 0;
  const [byTransport, breakdowns] = [transports.rates(), BREAKDOWNS.map(([title], index) => breakdown(title, windows[index].rates()))];
  show(document.getElementById("traffic-body"),
    element("p", { class: "figure" }, element("strong", { id: "rate" }, rate(now)), " queries"),
    sparkline(),
    element("p", { class: "quiet" },
      ["udp", "tcp"].map((name) => `${name.toUpperCase()} ${rate(byTransport?.get(name) ?? (byTransport ? 0 : null))} · `),
      element("span", { class: lost > 0 ? "warning" : null }, `lost in the kernel ${rate(lost)}`)),
    element("div", { class: "breakdowns" }, breakdowns));
}

function sparkline() {
  const known = queries.filter((each) => each.rate !== null);
  const most = Math.max(1, ...known.map((each) => each.rate));
  const last = queries.at(-1)?.at ?? 0;
  const points = known.map(({ at, rate: value }) => [SHOWN - (last - at), 30 - 28 * value / most].map((each) => each.toFixed(1)));
  const line = points.map((point) => point.join(",")).join(" ");
  const told = `Queries a second over the last ${SHOWN / 60} minutes: now ${number(known.at(-1)?.rate ?? 0)}, at most ${number(known.length ? most : 0)}`;
  return svg("svg", { class: "sparkline", viewBox: `0 0 ${SHOWN} 31`, preserveAspectRatio: "none", role: "img", "aria-label": told },
    points.length > 1 && svg("polygon", { points: `${points[0][0]},31 ${line} ${points.at(-1)[0]},31` }),
    svg("polyline", { points: line }));
}

function breakdown(title, rates) {
  const all = [...rates ?? []].filter(([, value]) => value > 0).sort(([, one], [, other]) => other - one);
  const total = all.reduce((sum, [, value]) => sum + value, 0);
  if (!all.length) return null;
  const rows = all.slice(0, MOST).map(([key, value]) => element("li", {},
    element("span", {}, key.split("\0").join("/")), element("span", {}, rate(value)),
    svg("svg", { class: "bar", viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { width: (100 * value / total).toFixed(1), height: 4 }))));
  return element("div", {}, element("h3", {}, title), element("ul", { class: "bars" }, rows));
}
