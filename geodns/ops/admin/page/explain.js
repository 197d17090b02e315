// Owns the explain box: one question, and the steps to its answer as a ladder; refuses to decide anything itself.

import { element, facts, show, table } from "./dom.js";
import { count, number } from "./words.js";

const RUNGS = ["net", "ecs", "egress", "resolver", "instance", "fallback"];
const KINDS = [
  [/^rung \S+ decides/, "decides"],
  [/ is passed over(:|$)/, "passed"],
  [/^rule .* is chosen/, "chosen"],
  [/ gets .*, TTL \d+/, "answer"],
];

/** What to ask for: a client with a "/" is a client subnet. */
export function question({ name, type, client, resolver }) {
  const who = client.includes("/") ? { ecs: client } : client ? { client } : {};
  return { name, type: type || "A", ...who, ...(resolver ? { resolver } : {}) };
}

/** The sites that the client may get, as "pool/site". */
export function sitesOf(told) {
  return (told.pool?.candidates ?? []).map((candidate) => `${told.pool.name}/${candidate.endpoint.split("/")[0]}`);
}

function kind(step) {
  return KINDS.find(([pattern]) => pattern.test(step))?.[1] ?? "step";
}

/** Draw an explanation: its outcome in `verdict`, which is read aloud, and everything else in `body`. */
export function drawExplanation(verdict, body, told) {
  const kinds = told.steps.map(kind);
  const deciding = kinds.lastIndexOf("decides");
  const passed = told.pool?.passed ?? [];
  show(verdict, element("strong", {}, told.answer.length ? told.answer.join(", ") : told.rcode), ` ${told.reason}`);
  show(body, ladder(told, kinds, deciding), element("div", {},
    facts([
      ["Question", `${told.question.name} ${told.question.type}`],
      ["Response", told.rcode],
      ["TTL", told.ttl === null ? "–" : `${told.ttl} s`],
      ["Scope", `/${told.scope}`],
      ["Rung", deciding < 0 ? "none: the same for everyone" : told.rung],
      ["Rule", told.rule],
      ["Place", placed(told)],
      ["Pool", told.pool && `${told.pool.name}: ${told.pool.verdict}`],
      ["Reply", count(told.octets, "octet")],
    ]),
    candidates(told),
    passed.length ? table("Passed over", ["Passed over", "Why"], passed.map((each) => [each.endpoint, each.why])) : null));
}

function ladder(told, kinds, deciding) {
  return element("div", {},
    element("ol", { class: "rungs", "aria-label": "The trust ladder" }, RUNGS.map((rung) => element("li",
      rung === told.rung && deciding >= 0 ? { class: "decides", "aria-current": "true" } : {}, rung))),
    element("ol", { class: "ladder", "aria-label": "Steps" }, told.steps.map((step, index) => element("li",
      { class: kinds[index], "aria-current": index === deciding ? "step" : null }, step))));
}

function placed(told) {
  const known = Object.entries(told.location).filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false);
  return known.map(([name, value]) => `${name} ${value}${told.sources[name] ? ` [${told.sources[name]}]` : ""}`).join(", ") || "unknown";
}

function candidates(told) {
  const all = told.pool?.candidates ?? [];
  if (!all.length) return null;
  return table("Who may be answered", ["May be answered", "Share", "Addresses"],
    all.map((each) => [each.endpoint, `${number(100 * each.share)} %`, each.addresses.join(", ")]));
}

/** Draw why there is no explanation. */
export function drawRefusal(verdict, body, error) {
  show(verdict, element("span", { class: "problem" }, error.message, error.remedy ? `. What to do: ${error.remedy}` : ""));
  show(body);
}
