// Small parts: elements, and values as people read them. What peers send becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** The element with this ID. */
export const at = (id) => document.getElementById(id);

/** A new element with properties and children. */
export function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** A new element of a picture. */
export function shape(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Sets a text, if it is another one: the page is not laid out again for nothing. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows pairs of names and values in a list of definitions, keeping the elements that are there. */
export function facts(list, pairs) {
  while (list.children.length > pairs.length) list.lastElementChild.remove();
  pairs.forEach(([name, value], index) => {
    if (!list.children[index]) list.append(make("div", {}, make("dt"), make("dd")));
    const [dt, dd] = list.children[index].children;
    say(dt, name);
    say(dd, value);
  });
}

/** The start of an ID. */
export const short = (id) => (id.length > 16 ? `${id.slice(0, 15)}…` : id);

/** A number with three digits that matter, or all before the point. */
export const digits = (value) =>
  value >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));

export const ms = (value) => (value == null ? "–" : value < 1 ? `${Math.round(value * 1000)} µs` : `${digits(value)} ms`);

/** Bytes, or with `per` bytes a second. */
export function bytes(value, per = "") {
  if (value == null) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${digits(value)} ${units[unit]}${per}`;
}

export const count = (value) => value.toLocaleString("en");

export function span(seconds) {
  const [d, h, m] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${m} min`;
  return m ? `${m} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
}

/** The time of day in a time as the API writes it. */
export const clock = (time) => new Date(time).toLocaleTimeString();

/** At most once in as many milliseconds as `pause` says, and once after the last call. */
export function seldom(pause, what) {
  let timer = 0;
  return () => {
    timer ||= setTimeout(() => {
      timer = 0;
      what();
    }, pause());
  };
}
