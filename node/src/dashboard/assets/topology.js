// The node and its peers as a picture: the nearer, the shorter the round trip.

import { at, ms, say, shape, short } from "./dom.js";

const [WIDTH, HEIGHT] = [400, 320];
const [MIDDLE_X, MIDDLE_Y] = [WIDTH / 2, HEIGHT / 2];
const RADIUS_MAX = 140;
const RADIUS_MIN = 36;
/** Rings of round trips in milliseconds; the scale between the first and the last is logarithmic. */
const RINGS = [0.1, 1, 10, 100, 1000];
/** More points than this cannot be told apart. */
const POINTS_MAX = 256;

function radius(latency) {
  const [first, last] = [Math.log(RINGS[0]), Math.log(RINGS.at(-1))];
  const share = (Math.log(Math.max(latency ?? RINGS.at(-1), RINGS[0])) - first) / (last - first);
  return RADIUS_MIN + Math.min(1, share) * (RADIUS_MAX - RADIUS_MIN);
}

/** A direction that belongs to a peer, so that it stays where it was when others come. */
function angle(id) {
  let hash = 2166136261;
  for (const letter of id) hash = Math.imul(hash ^ letter.charCodeAt(0), 16777619);
  return ((hash >>> 0) / 2 ** 32) * 2 * Math.PI;
}

export class Topology {
  constructor(open) {
    this.open = open;
    this.rings = shape("g", {});
    this.lines = shape("g", {});
    this.points = shape("g", {});
    const here = shape("circle", { class: "here", cx: MIDDLE_X, cy: MIDDLE_Y, r: 9 }, shape("title", {}, "this node"));
    const image = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group", "aria-label": "This node and its peers" },
      this.rings, this.lines, here, this.points);
    for (const ring of RINGS) {
      const r = radius(ring);
      this.rings.append(
        shape("circle", { class: "ring", cx: MIDDLE_X, cy: MIDDLE_Y, r }),
        shape("text", { x: MIDDLE_X + 3, y: MIDDLE_Y - r - 2 }, ms(ring)));
    }
    this.of = new Map();
    at("topology").append(image);
  }

  draw(sample) {
    const links = sample.links.slice(0, POINTS_MAX);
    const present = new Set(links.map((link) => link.id));
    for (const [id, drawn] of this.of) {
      if (present.has(id)) continue;
      drawn.line.remove();
      drawn.point.remove();
      this.of.delete(id);
    }
    for (const link of links) this.#place(link);
    const outbound = sample.links.filter((link) => link.direction === "outbound").length;
    const left = sample.left_out ? `, and ${sample.left_out} more` : "";
    say(at("topology-says"), `${sample.links.length} peers are linked${left}: ${outbound} that this node dialled ` +
      `(whole lines), ${sample.links.length - outbound} that dialled it (broken lines). ` +
      `${sample.peers.known - sample.peers.connected} more are known.`);
  }

  #place(link) {
    let drawn = this.of.get(link.id);
    if (!drawn) {
      drawn = this.#add(link);
      this.of.set(link.id, drawn);
    }
    const [r, way] = [radius(link.latency_ms), angle(link.id)];
    const [x, y] = [MIDDLE_X + r * Math.cos(way), MIDDLE_Y + r * Math.sin(way)].map((value) => value.toFixed(1));
    drawn.line.setAttribute("x2", x);
    drawn.line.setAttribute("y2", y);
    drawn.point.setAttribute("cx", x);
    drawn.point.setAttribute("cy", y);
    const words = `${short(link.id)}, ${link.direction ?? "linked"}, ${ms(link.latency_ms)}`;
    say(drawn.title, words);
    drawn.point.setAttribute("aria-label", words);
  }

  #add(link) {
    const line = shape("line", { class: link.direction ?? "outbound", x1: MIDDLE_X, y1: MIDDLE_Y });
    const title = shape("title", {});
    const point = shape("circle", { class: "peer", r: 6, tabindex: 0, role: "button" }, title);
    point.addEventListener("click", () => this.open(link.id));
    point.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        this.open(link.id);
      }
    });
    this.lines.append(line);
    this.points.append(point);
    return { line, point, title };
  }
}
