// Owns drawing what this instance is, and how its last reload went; refuses to ask.

import { badge, element, facts, show, table } from "./dom.js";
import { count, moment, since, span } from "./words.js";

const place = (id) => document.getElementById(id);

/** What this instance is, whether it is ready, and why not. */
export function drawInstance(status) {
  const ready = status.ready.length === 0;
  const state = status.draining ? "degraded" : ready ? "up" : "down";
  const word = status.draining ? "draining" : ready ? "ready" : "not ready";
  const identity = status.identity ?? "";
  document.title = `${identity || "geodns"}: ${word}`;
  show(place("identity"), identity);
  show(place("state"), badge(state, word), element("span", { class: "reasons" }, status.ready.join("; ")));
  show(place("instance-body"), facts([
    ["Version", status.version],
    ["Up for", span(status.uptime)],
    ["Listens on", status.listening.join(", ")],
    ["Answered by", `${count(status.workers.length, "worker")}${deaths(status)}`],
    ["Serves", `${count(status.zones, "zone")}${status.records === undefined ? "" : `, ${count(status.records, "record")}`}`],
    ["Data", `generation ${status.generation}, loaded ${since(status.loaded_at)}`],
    ["Overrides", status.overrides || "none"],
    ["Configuration", status.configuration],
  ]));
}

function deaths(status) {
  return status.worker_deaths ? `, ${status.worker_deaths} replaced after a fault` : "";
}

/** The last reload, and every problem that it found. */
export function drawReload(status) {
  const last = status.last_reload;
  if (!last) {
    show(place("reload-body"), element("p", {}, `None since the start; loaded ${moment(status.loaded_at)}.`));
    return;
  }
  const outcome = last.accepted ? badge("up", "accepted") : badge("down", "refused");
  const kept = last.accepted ? "" : " What was served before is still served.";
  const where = (problem) => problem.file ? `${problem.file}${problem.line ? `:${problem.line}` : ""}` : "–";
  const rows = last.problems.map((problem) =>
    [badge(problem.severity === "warning" ? "degraded" : "down", problem.severity), where(problem), problem.message, problem.remedy]);
  show(place("reload-body"),
    element("p", {}, outcome, ` ${since(last.at)}, took ${last.seconds.toFixed(2)} s.${kept}`),
    rows.length ? table("Problems of the last reload", ["", "Where", "Problem", "Remedy"], rows)
      : element("p", {}, "No problems."));
}
