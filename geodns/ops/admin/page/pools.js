// Owns drawing pools and zones as tables, and what the health of a site is called; refuses to ask.

import { badge, element, show, table } from "./dom.js";
import { count, moment, number, since } from "./words.js";

const UNFOLDED = 4;  // pools that are open at first; more of them are folded
const EVENTS = 50;  // of a pool's history
const ZONES = 200;  // rows

/** up, degraded (something of it may not be answered, or is overruled), down, or unknown (not checked yet). */
export function healthOf(site) {
  const addresses = site.endpoints.flatMap((endpoint) => endpoint.addresses);
  if (!site.up) return "down";
  if (addresses.length && addresses.every((address) => address.health === "unknown")) return "unknown";
  const flawed = addresses.some((address) => !address.eligible) || site.endpoints.some((endpoint) => endpoint.override);
  return flawed ? "degraded" : "up";
}

/** Every pool. */
export function drawPools(pools) {
  const drawn = pools.map((pool) => pooled(pool, pools.length <= UNFOLDED));
  show(document.getElementById("pools-body"), drawn.length ? drawn : element("p", {}, "There are none in the configuration."));
}

function pooled(pool, open) {
  const state = pool.state ?? (pool.degraded ? "degraded" : "up");
  const rows = pool.sites.flatMap((site) => site.endpoints.flatMap((endpoint) =>
    endpoint.addresses.map((address) => row(site, endpoint, address))));
  return element("details", { id: `pool-${pool.name}`, open },
    element("summary", {}, element("strong", {}, pool.name), " ", badge(state), " ",
      element("span", { class: "quiet" }, `${pool.steering}, TTL ${pool.ttl} s, check ${pool.check.type}`)),
    table(`Endpoints of pool ${pool.name}`, ["Site", "Endpoint", "Address", "State", "Since", "Last error", "Check", "Override"], rows),
    history(pool));
}

function row(site, endpoint, address) {
  const state = address.eligible ? (address.health === "unknown" ? "unknown" : "up") : "down";
  const word = endpoint.override;
  const pending = address.pending ? ` (${address.pending} the other way)` : "";
  return [
    [badge(healthOf(site), site.name)],
    `${endpoint.name}${endpoint.weight === 1 ? "" : ` ×${endpoint.weight}`}`,
    element("code", {}, address.address),
    [badge(state, address.eligible ? "answered" : "passed over"), ` ${address.health}${pending}`],
    address.since ? since(address.since) : "–",
    address.error || "–",
    address.duration === null || address.duration === undefined ? "–" : `${number(address.duration * 1000)} ms`,
    word ? `${word.word} by ${word.who || "somebody"}${word.until ? ` until ${moment(word.until)}` : ""}${word.reason ? `: ${word.reason}` : ""}` : "–",
  ];
}

function history(pool) {
  if (!pool.history.length) return element("p", { class: "quiet" }, "Nothing has happened to it yet.");
  const newest = [...pool.history].reverse().slice(0, EVENTS);
  return element("details", { open: true }, element("summary", {}, `History: ${count(pool.history.length, "change")}`),
    element("ol", { class: "history" }, newest.map((event) => element("li", {},
      element("time", { datetime: moment(event.at).replace(" ", "T") }, moment(event.at)), " ", event.what))));
}

/** The zones whose name holds a text. */
export function drawZones(zones, wanted) {
  const found = zones.filter((zone) => zone.name.includes(wanted.trim().toLowerCase()));
  document.getElementById("zones-search").hidden = zones.length < 15;
  const shown = found.slice(0, ZONES).map((zone) => [zone.name, zone.serial, zone.records, zone.tailored, zone.file ?? ""]);
  const rest = found.length - shown.length;
  show(document.getElementById("zones-body"),
    table("Zones", ["Zone", "Serial", "Records", "Differ by client", "File"], shown.map((cells) => cells.map((cell) => String(cell ?? "–")))),
    rest > 0 && element("p", { class: "quiet" }, `and ${count(rest, "other")}`),
    !found.length && element("p", {}, "None."));
}
