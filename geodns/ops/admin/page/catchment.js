// Owns drawing whom routing brings to this instance; refuses to judge them.

import { badge, element, show, table } from "./dom.js";
import { count, moment, number } from "./words.js";

const SHOWN = 8;  // regions
/** How many networks are asked for. */
export const WORST = 5;

const STATES = { polarised: "down", detour: "down", slow: "degraded", misplaced: "degraded", unknown: "unknown", well: "up" };
const place = document.getElementById("catchment-body");
const milliseconds = (value) => value === null ? "–" : `${number(value)} ms`;

/** What is known of them, or why nothing is. */
export function drawCatchment(told) {
  if (!told.measured) {
    show(place, element("p", {}, `Not measured: ${told.why_not}.`));
    return;
  }
  if (!told.networks) {
    show(place, element("p", {}, "Nobody has come by TCP yet."));
    return;
  }
  const forgotten = told.forgotten.networks ? `, ${count(told.forgotten.networks, "other")} forgotten` : "";
  const regions = told.regions.slice(0, SHOWN).map((each) =>
    [each.region, each.networks, each.round_trips, milliseconds(each.median_ms), milliseconds(each.p90_ms)]);
  show(place,
    element("p", {}, `TCP handshakes of ${count(told.networks, "network")} since ${moment(told.since)}${forgotten}.`),
    table("Round trips by region", ["Region", "Networks", "Round trips", "Median", "90 %"], regions),
    told.worst.length > 0 && element("h3", {}, "The slowest networks"),
    told.worst.length > 0 && table("The slowest networks", ["Network", "Region", "Median", "At best", "Verdict", "Instead"], told.worst.map(row)));
}

function row(each) {
  const instead = each.instead.map(({ pool, site, best_ms: best }) =>
    element("div", {}, `${pool}/${site ?? "–"}${best === null ? "" : `, at best ${milliseconds(best)}`}`));
  return [element("code", {}, each.prefix), each.region, milliseconds(each.median_ms), milliseconds(each.fastest_ms),
    badge(STATES[each.verdict], each.verdict), instead];
}
