// Owns when what is asked, and what happens if nobody answers; refuses to know how anything is drawn.

import { WORST, drawCatchment } from "./catchment.js";
import { Gone, TokenWanted, ask, keepToken } from "./door.js";
import { element, show } from "./dom.js";
import { drawExplanation, drawRefusal, question, sitesOf } from "./explain.js";
import { read } from "./exposition.js";
import { drawInstance, drawReload } from "./instance.js";
import * as map from "./map.js";
import { drawPools, drawZones } from "./pools.js";
import * as traffic from "./traffic.js";
import { span } from "./words.js";

const EVERY = 1000;  // ms from one look at the status to the next
const METRICS_EVERY = 2000;
const SPARING = 20;  // metrics of many zones take long: they may keep the door busy for one part in so many
const ZONES_EVERY = 60_000;
const CATCHMENT_EVERY = 10_000;
const LONGEST_WAIT = 8000;  // ms between tries while nobody answers

const place = (id) => document.getElementById(id);
const sleep = (time) => new Promise((resolve) => { setTimeout(resolve, time); });
const known = { pools: [], zones: [], generation: null, at: null, metricsDue: 0, zonesDue: 0, catchmentDue: 0, hasCountries: false };
let turns = 0;  // questions asked in the explain box

/** One look at everything that is due. */
async function look() {
  if (!known.hasCountries) {
    map.useCountries(await ask("page/countries.json"));
    known.hasCountries = true;
  }
  const status = await ask("api/v1/status");
  known.pools = await ask("api/v1/pools");
  const now = performance.now();
  traffic.noteQueries(now / 1000, status.queries ?? 0);
  if (now >= known.metricsDue) await lookAtMetrics(now);
  if (now >= known.zonesDue || status.generation !== known.generation) {
    known.zones = await ask("api/v1/zones");
    Object.assign(known, { generation: status.generation, zonesDue: now + ZONES_EVERY });
    drawZones(known.zones, place("zones-filter").value);
  }
  if (now >= known.catchmentDue) {
    drawCatchment(await ask("api/v1/catchment", { worst: WORST }));
    known.catchmentDue = now + CATCHMENT_EVERY;
  }
  drawInstance(status);
  drawReload(status);
  traffic.drawTraffic();
  drawPools(known.pools);
  map.drawMap(known.pools);
  known.at = Date.now();
}

async function lookAtMetrics(began) {
  const text = await ask("metrics");
  const now = performance.now();
  const metrics = read(text, [...traffic.METRICS, ...map.METRICS]);
  traffic.noteMetrics(now / 1000, metrics);
  map.noteAnswers(now / 1000, metrics);
  known.metricsDue = now + Math.max(METRICS_EVERY, SPARING * (now - began));
}

/** Look again and again, for ever; while nobody sees the page, or nobody answers, less often or not at all. */
async function watch() {
  for (let failures = 0; ;) {
    if (document.hidden) await seen();
    try {
      await look();
      failures = 0;
      complain();
    } catch (error) {
      if (error instanceof TokenWanted) {
        await askForToken(error.message);
        continue;
      }
      const pause = Math.min(LONGEST_WAIT, EVERY * 2 ** failures++);
      if (failures > 1 || known.at === null) complain(error, pause);  // a reload replaces who keeps the door: once is nothing
      await sleep(pause);
      continue;
    }
    await sleep(EVERY);
  }
}

function seen() {
  return new Promise((resolve) => { document.addEventListener("visibilitychange", resolve, { once: true }); });
}

/** Say what is wrong, or that nothing is any more. */
function complain(error = null, pause = 0) {
  document.body.classList.toggle("stale", error !== null);
  place("banner").hidden = error === null;
  if (!error) return;
  const what = error instanceof Gone ? `The door does not answer: ${error.message}.`
    : `This page cannot go on: ${error.message}. ${error.remedy ?? ""}`;
  const age = known.at ? ` What is shown is ${span((Date.now() - known.at) / 1000)} old.` : "";
  show(place("banner"), element("strong", {}, what), `${age} Next try in ${span(pause / 1000)}. DNS answers do not depend on the door.`);
}

/** Until somebody has typed a token. */
function askForToken(why) {
  const [dialog, form, field] = [place("token-dialog"), place("token-form"), place("token")];
  show(place("token-why"), why);
  if (!dialog.open) dialog.showModal();
  dialog.oncancel = (event) => event.preventDefault();  // without a token there is nothing to see
  return new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      keepToken(field.value.trim());
      field.value = "";
      dialog.close();
      resolve();
    };
  });
}

async function explain(event) {
  event?.preventDefault();
  const asked = Object.fromEntries(["name", "type", "client", "resolver"].map((key) => [key, place(`explain-${key}`).value.trim()]));
  history.replaceState(null, "", `#explain?${new URLSearchParams(asked)}`);
  const [turn, verdict, body] = [++turns, place("explain-verdict"), place("explain-body")];
  try {
    const told = await ask("api/v1/explain", question(asked));
    if (turn !== turns) return;  // somebody has asked something else meanwhile
    drawExplanation(verdict, body, told);
    map.useAsker({ name: asked.client, location: told.location, sites: sitesOf(told) });
    map.drawMap(known.pools);
  } catch (error) {
    if (turn !== turns) return;
    map.useAsker(null);
    drawRefusal(verdict, body, error);
  }
}

/** A link to a question, as the address bar has it after one, asks it again. */
function follow() {
  const [, asked] = location.hash.split("#explain?");
  if (asked === undefined) return;
  for (const [key, value] of new URLSearchParams(asked)) {
    const field = ["name", "type", "client", "resolver"].includes(key) ? place(`explain-${key}`) : null;
    if (field) field.value = value;
  }
  if (place("explain-form").checkValidity()) explain();
}

place("explain-form").addEventListener("submit", explain);
place("zones-filter").addEventListener("input", (event) => drawZones(known.zones, event.target.value));
window.addEventListener("hashchange", () => {
  const target = location.hash.startsWith("#pool-") && place(decodeURIComponent(location.hash.slice(1)));
  if (target) target.open = true;
  else follow();
});
follow();
watch();
