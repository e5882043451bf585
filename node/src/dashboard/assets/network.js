// The whole network as a picture, where the process knows it: rings of hops around the node that was asked.
// Ten thousand nodes are too many elements for a page; therefore one canvas.

import { at, count, say, short } from "./dom.js";

/** Lines that are drawn at most; of more links every n-th is. */
const LINES_MAX = 6000;
/** How far from a node a click still means it, in pixels. */
const NEAR = 10;

const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** A number from 0 to 1 that belongs to a place in the list. */
const share = (index) => ((Math.imul(index + 1, 2654435761) >>> 0) % 10007) / 10007;

/** Neighbours of each node, one after the other, and where those of a node begin. */
function neighbours(nodes, links) {
  const begins = new Uint32Array(nodes + 1);
  for (const [a, b] of links) {
    begins[a + 1] += 1;
    begins[b + 1] += 1;
  }
  for (let node = 0; node < nodes; node += 1) begins[node + 1] += begins[node];
  const next = begins.slice();
  const all = new Uint32Array(begins[nodes]);
  for (const [a, b] of links) {
    all[next[a]++] = b;
    all[next[b]++] = a;
  }
  return { begins, all };
}

/** Rings of nodes by their hops from the first; each ring in the order of the one before. */
function rings(nodes, links) {
  const { begins, all } = neighbours(nodes, links);
  const hops = new Int32Array(nodes).fill(-1);
  const found = [];
  let ring = nodes ? [0] : [];
  if (nodes) hops[0] = 0;
  while (ring.length) {
    found.push(ring);
    const further = [];
    for (const node of ring) {
      for (let place = begins[node]; place < begins[node + 1]; place += 1) {
        if (hops[all[place]] >= 0) continue;
        hops[all[place]] = found.length;
        further.push(all[place]);
      }
    }
    ring = further;
  }
  const apart = [];
  hops.forEach((hop, node) => hop < 0 && apart.push(node));
  return { found, apart };
}

export class Network {
  constructor(open) {
    this.open = open;
    this.isWhole = false;
    this.map = { nodes: [], links: [] };
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", "All nodes and links of the network");
    this.canvas.setAttribute("aria-describedby", "network-says");
    this.canvas.addEventListener("click", (event) => this.#choose(event));
    at("network").append(this.canvas);
    new ResizeObserver(() => this.draw()).observe(at("network"));
    dark.addEventListener("change", () => this.draw());
  }

  /** Takes in the answer of the API. */
  show(map) {
    this.isWhole = map.is_whole;
    at("whole").hidden = !map.is_whole;
    if (!map.is_whole) return;
    this.map = map;
    this.rings = rings(map.nodes.length, map.links);
    this.#place();
    this.draw();
    this.#words();
  }

  /** Places from -1 to 1. */
  #place() {
    const { found, apart } = this.rings;
    const all = apart.length ? [...found, apart] : found;
    this.x = new Float32Array(this.map.nodes.length);
    this.y = new Float32Array(this.map.nodes.length);
    all.forEach((ring, hop) => {
      // A ring of many nodes is a band.
      const band = Math.min(0.8, ring.length / 400);
      ring.forEach((node, index) => {
        const radius = hop && (hop + (share(node) - 0.5) * band) / (all.length - 0.5);
        const angle = ((index + 0.5 * (hop % 2)) / ring.length) * 2 * Math.PI;
        this.x[node] = radius * Math.cos(angle);
        this.y[node] = radius * Math.sin(angle);
      });
    });
  }

  #scale() {
    const { width, height } = this.canvas;
    return [width / 2, height / 2, 0.48 * width, 0.46 * height];
  }

  draw() {
    if (!this.isWhole || !this.x) return;
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [this.canvas.clientWidth * scale, this.canvas.clientHeight * scale].map(Math.round);
    if (!width || !height) return;
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    const context = this.canvas.getContext("2d");
    const [left, top, across, down] = this.#scale();
    const { nodes, links } = this.map;
    context.clearRect(0, 0, width, height);
    context.beginPath();
    const step = Math.max(1, Math.ceil(links.length / LINES_MAX));
    for (let link = 0; link < links.length; link += step) {
      const [a, b] = links[link];
      context.moveTo(left + across * this.x[a], top + down * this.y[a]);
      context.lineTo(left + across * this.x[b], top + down * this.y[b]);
    }
    context.strokeStyle = colour(nodes.length > 500 ? "grid" : "line");
    context.stroke();
    const size = scale * (nodes.length > 2000 ? 2 : nodes.length > 200 ? 4 : 9);
    for (const [name, wanted] of [["one", true], ["bad", false]]) {
      context.fillStyle = colour(name);
      nodes.forEach((node, index) => {
        if (node.is_up !== wanted) return;
        context.fillRect(left + across * this.x[index] - size / 2, top + down * this.y[index] - size / 2, size, size);
      });
    }
    context.fillStyle = colour("text");
    context.fillRect(left - size, top - size, 2 * size, 2 * size);
  }

  #words() {
    const { nodes, links } = this.map;
    const { found, apart } = this.rings;
    const down = nodes.filter((node) => !node.is_up).length;
    const step = Math.max(1, Math.ceil(links.length / LINES_MAX));
    const lines = step > 1 ? ` One link in ${step} is drawn.` : "";
    const hops = found.slice(1).map((ring, index) => `${count(ring.length)} at ${index + 1}`).join(", ");
    say(at("network-says"), `${count(nodes.length)} nodes (${count(down)} of them do not run), ${count(links.length)} links. ` +
      `Hops from this node: ${hops || "none"}. Not reached from it: ${count(apart.length)}.${lines}`);
  }

  #choose({ offsetX, offsetY }) {
    if (!this.x) return;
    const scale = this.canvas.width / this.canvas.clientWidth;
    const [left, top, across, down] = this.#scale().map((value) => value / scale);
    let [nearest, least] = [-1, NEAR];
    for (let node = 0; node < this.x.length; node += 1) {
      const distance = Math.hypot(left + across * this.x[node] - offsetX, top + down * this.y[node] - offsetY);
      if (distance < least) [nearest, least] = [node, distance];
    }
    if (nearest > 0) {
      const { id } = this.map.nodes[nearest];
      this.canvas.title = short(id);
      this.open(id);
    }
  }
}
