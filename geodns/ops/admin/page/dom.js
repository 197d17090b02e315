// Owns making elements and bringing what is shown up to date; refuses to know what they mean.
// Texts become text nodes, never markup: whatever the API tells is somebody else's word.

const SVG = "http://www.w3.org/2000/svg";
const OF_THE_USER = new Set(["open"]);  // what somebody has unfolded stays unfolded

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false && value !== undefined) made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== false && child !== undefined));
  return made;
}

/** An HTML element; children are texts, nodes, lists of them, or null for nothing. */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** Make an element's content this, touching only what differs: focus, selection and scroll positions survive. */
export function show(place, ...children) {
  morph(place, filled(place.cloneNode(false), {}, children));
}

function morph(there, wanted) {
  for (const { name } of [...there.attributes]) {
    if (!wanted.hasAttribute(name) && !OF_THE_USER.has(name)) there.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (there.getAttribute(name) !== value && !OF_THE_USER.has(name)) there.setAttribute(name, value);
  }
  const fresh = [...wanted.childNodes];
  fresh.forEach((child, index) => place(there, there.childNodes[index], child));
  while (there.childNodes.length > fresh.length) there.lastChild.remove();
}

function place(parent, now, child) {
  if (!now) parent.append(child);
  else if (now.nodeType === Node.TEXT_NODE && child.nodeType === Node.TEXT_NODE) {
    if (now.data !== child.data) now.data = child.data;
  } else if (now.nodeType === Node.ELEMENT_NODE && now.nodeName === child.nodeName && now.id === child.id) morph(now, child);
  else now.replaceWith(child);
}

/** Pairs as a description list; those without a value are left out. */
export function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return element("dl", {}, known.map(([term, value]) => element("div", {}, element("dt", {}, term), element("dd", {}, value))));
}

/** A table that scrolls by itself where the screen is too narrow, also with the keyboard. Cells are texts or nodes. */
export function table(caption, headings, rows) {
  const cells = (tag, row) => row.map((cell) => element(tag, tag === "th" ? { scope: "col" } : {}, cell));
  return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    element("table", {},
      element("thead", {}, element("tr", {}, cells("th", headings))),
      element("tbody", {}, rows.map((row) => element("tr", {}, cells("td", row))))));
}

/** A state in a coloured word, which says the same without its colour. */
export function badge(state, text = state) {
  return element("span", { class: `badge health-${state}` }, text);
}
