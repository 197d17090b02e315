// Owns drawing the planet: sites by health, countries by the site that serves them; refuses to know who is right.

import { element, show, svg } from "./dom.js";
import { Window, sums } from "./exposition.js";
import { healthOf } from "./pools.js";
import { HEIGHT, WIDTH, graticule, outline, project } from "./projection.js";
import { number } from "./words.js";

/** Answers by the client's country; where the daemon does not count them, countries stay grey. */
export const METRICS = ["geodns_country_answers_total"];

const RECENT = 60;  // s: who serves a country now, not who did last week
const HUES = 8;
const EDGE = 6;  // around the world, so that who lives at a pole is seen
const GRAIN = 0.5;  // degrees: sites closer than that are one marker
const WORST_FIRST = ["down", "degraded", "unknown", "up"];
const SHAPES = {
  up: "M-8 0a8 8 0 1 0 16 0a8 8 0 1 0-16 0Z",
  unknown: "M-8 0a8 8 0 1 0 16 0a8 8 0 1 0-16 0ZM-4 0a4 4 0 1 1 8 0a4 4 0 1 1-8 0Z",
  degraded: "M0-10L10 0L0 10L-10 0Z",
  down: "M-9-5L-5-9L0-4L5-9L9-5L4 0L9 5L5 9L0 4L-5 9L-9 5L-4 0Z",
};

let countries = [];
let totals = new Map();
const recent = new Window(RECENT);
let asker = null;

/** Every country as a dot: {code: [latitude, longitude, name]}. */
export function useCountries(told) {
  countries = Object.entries(told).map(([code, [latitude, longitude, name]]) => ({ code, latitude, longitude, name }));
}

/** Note a reading of the metrics. */
export function noteAnswers(now, metrics) {
  totals = sums(metrics.get(METRICS[0]), "country", "pool", "site");
  recent.note(now, totals);
}

/** Show a client and who it gets: location as explain tells it, and sites as "pool/site"; null for nobody. */
export function useAsker(told) {
  asker = told;
}

/** Draw what is known now. */
export function drawMap(pools) {
  const markers = marked(pools);
  const served = serving(markers);
  const bad = markers.filter((marker) => marker.health !== "up").length;
  const told = `World map: ${markers.length} places with sites, ${bad} of them not well; ${served.size} countries were answered lately`;
  show(document.getElementById("map"),
    svg("svg", { viewBox: `${-EDGE} ${-EDGE} ${WIDTH + 2 * EDGE} ${(HEIGHT + 2 * EDGE).toFixed(0)}`, role: "group", "aria-label": told },
      svg("path", { class: "sea", d: outline() }),
      svg("path", { class: "graticule", d: graticule() }),
      svg("g", { class: "routes" }, countries.map((country) => route(country, served.get(country.code)))),
      svg("g", { class: "countries" }, countries.map((country) => dot(country, served.get(country.code)))),
      svg("g", { class: "sites" }, markers.map(marker)),
      asked(markers)));
  legend(pools, markers, served);
}

/** Sites that have coordinates, those at one place together, each place with a hue of its own. */
function marked(pools) {
  const places = new Map();
  for (const pool of pools) for (const site of pool.sites) {
    const { latitude, longitude } = site;
    if (typeof latitude !== "number" || typeof longitude !== "number") continue;
    const key = `${Math.round(latitude / GRAIN)} ${Math.round(longitude / GRAIN)}`;
    const found = places.get(key) ?? { latitude, longitude, sites: [] };
    places.set(key, { ...found, sites: [...found.sites, { pool: pool.name, name: site.name, health: healthOf(site) }] });
  }
  return [...places.values()].map((each, index) => {
    const states = new Set(each.sites.map((site) => site.health));
    const worst = WORST_FIRST.find((state) => states.has(state));
    return {
      ...each,
      hue: index % HUES,
      name: [...new Set(each.sites.map((site) => site.name))].join(", "),
      health: worst === "down" && states.size > 1 ? "degraded" : worst,  // not all of what stands there is down
    };
  });
}

/** Country code → {marker, share, answers}: the place that answers most of it. */
function serving(markers) {
  const grown = recent.growth();
  const counts = [...grown.values()].some((value) => value > 0) ? grown : totals;
  const at = new Map(markers.flatMap((each) => each.sites.map((site) => [`${site.pool}\0${site.name}`, each])));
  const codes = new Set(countries.map((country) => country.code));  // who has none, or one that the map does not know, is nowhere
  const found = new Map();
  for (const [key, value] of counts) {
    const [country, pool, site] = key.split("\0");
    const place = at.get(`${pool}\0${site}`);
    if (value <= 0 || !place || !codes.has(country)) continue;
    const tally = found.get(country) ?? new Map();
    found.set(country, tally.set(place, (tally.get(place) ?? 0) + value));
  }
  return new Map([...found].map(([country, tally]) => {
    const answers = [...tally.values()].reduce((sum, value) => sum + value, 0);
    const [place, most] = [...tally].reduce((best, each) => each[1] > best[1] ? each : best);
    return [country, { place, answers, share: most / answers }];
  }));
}

function dot(country, served) {
  const [x, y] = project(country.latitude, country.longitude);
  const told = served ? `: ${number(100 * served.share)} % of ${number(served.answers)} answers from ${served.place.name}` : "";
  return svg("circle", { class: served ? `country served hue-${served.place.hue}` : "country", "data-country": country.code,
    cx: x.toFixed(1), cy: y.toFixed(1), r: 4 }, svg("title", {}, `${country.name}${told}`));
}

function line(from, to, kind) {
  const [[x, y], [tox, toy]] = [project(from.latitude, from.longitude), project(to.latitude, to.longitude)];
  const bend = Math.hypot(tox - x, toy - y) / 6;
  return svg("path", { class: kind,
    d: `M${x.toFixed(1)} ${y.toFixed(1)}Q${((x + tox) / 2).toFixed(1)} ${((y + toy) / 2 - bend).toFixed(1)} ${tox.toFixed(1)} ${toy.toFixed(1)}` });
}

function route(country, served) {
  return served ? line(country, served.place, `hue-${served.place.hue}`) : null;
}

function marker(each) {
  const [x, y] = project(each.latitude, each.longitude);
  const told = each.sites.map((site) => `${site.pool}/${site.name} is ${site.health}`).join(", ");
  const left = x > WIDTH * 0.85;
  return svg("a", { href: `#pool-${each.sites[0].pool}`, class: `marker health-${each.health} hue-${each.hue}`,
    "data-sites": each.sites.map((site) => `${site.pool}/${site.name}`).join(" "), "aria-label": told,
    transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` },
  svg("title", {}, told),
  svg("circle", { class: "ring", r: 14 }),
  svg("path", { class: "sign", d: SHAPES[each.health], "fill-rule": "evenodd" }),
  svg("text", { x: left ? -19 : 19, y: 5, "text-anchor": left ? "end" : "start" }, each.name));
}

function asked(markers) {
  const here = asker && spot(asker.location);
  if (!here) return null;
  const chosen = markers.filter((each) => each.sites.some((site) => asker.sites.includes(`${site.pool}/${site.name}`)));
  const [x, y] = project(here.latitude, here.longitude);
  return svg("g", { class: "asker" }, chosen.map((each) => line(here, each, "choice")),
    svg("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 6 }, svg("title", {}, asker.name)));
}

function spot(location) {
  if (typeof location.latitude === "number" && typeof location.longitude === "number") return location;
  return countries.find((country) => country.code === location.country) ?? null;
}

function legend(pools, markers, served) {
  const answered = new Map();
  for (const { place } of served.values()) answered.set(place, (answered.get(place) ?? 0) + 1);
  const lost = pools.flatMap((pool) => pool.sites.filter((site) => typeof site.latitude !== "number").map((site) => `${pool.name}/${site.name}`));
  show(document.getElementById("legend"),
    element("ul", { class: "legend" }, markers.map((each) => element("li", {},
      svg("svg", { viewBox: "-16 -16 32 32", class: `health-${each.health} hue-${each.hue}`, "aria-hidden": "true" },
        svg("circle", { class: "ring", r: 14 }), svg("path", { class: "sign", d: SHAPES[each.health], "fill-rule": "evenodd" })),
      `${each.name}: ${each.health}${answered.has(each) ? `, ${answered.get(each)} ${answered.get(each) === 1 ? "country" : "countries"}` : ""}`))),
    element("p", { class: "quiet" },
      markers.length ? (served.size ? "A dot is a country, in the colour of the site that answers most of it. "
        : "A dot is a country; no answers by country are counted yet. ") : "No site has coordinates. ",
      lost.length ? `Without coordinates: ${lost.join(", ")}.` : ""));
}
