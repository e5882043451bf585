// Where the connected peers are: a map of the world, and the countries in a table. Only where the operator of
// the node has given it a database of places; what draws the map is asked for then and not before.

import { Refusal } from "./api.js";
import { at, count, make, ms, say, shape, short } from "./dom.js";

const [WIDTH, HEIGHT] = [960, 500];
/** What draws the map; each uses those before it. */
const SCRIPTS = ["d3-array.min.js", "d3-geo.min.js", "topojson-client.min.js"];
const LAND = "/assets/land-110m.json";
/** Round trips: below so many milliseconds a point is of this kind and size. The legend says the same. */
const KINDS = [[30, "near", 7], [100, "middle", 8], [Infinity, "far", 9]];
const UNMEASURED = [0, "unmeasured", 7];
/** How far apart points of one place are drawn, and the angle that makes a whorl of them. */
const APART = 13;
const TURN = Math.PI * (3 - Math.sqrt(5));
/** Countries that are told in words. */
const TOLD_MAX = 5;

const script = (name) => new Promise((done, failed) => {
  const element = make("script", { src: `/assets/${name}` });
  element.addEventListener("load", done);
  element.addEventListener("error", () => failed(new Refusal("The node does not give the map; is it still running?")));
  document.head.append(element);
});

const kindOf = (latency) => (latency == null ? UNMEASURED : KINDS.find(([below]) => latency < below));

export class Geography {
  constructor(open) {
    this.open = open;
    this.of = new Map();
    this.ready = null;
  }

  /** Takes in the answer of the API. */
  async show(told) {
    const { database } = told;
    at("geography").hidden = !database;
    at("latency-map").hidden = Boolean(database);
    if (!database) return;
    at("geography-map").hidden = !database.has_coordinates;
    this.#words(told);
    this.#countries(told);
    if (!database.has_coordinates) return;
    this.ready ??= this.#make();
    try {
      await this.ready;
    } catch (error) {
      this.ready = null;
      throw error;
    }
    this.#points(told.peers);
  }

  /** Takes in fresh round trips of the connected peers. */
  onLinks(links) {
    for (const link of links) {
      const drawn = this.of.get(link.id);
      if (drawn) this.#paint(drawn, link.latency_ms);
    }
  }

  async #make() {
    for (const name of SCRIPTS) await script(name);
    const answer = await fetch(LAND);
    if (!answer.ok) throw new Refusal("The node does not give the outlines of the map.");
    const atlas = await answer.json();
    const sphere = { type: "Sphere" };
    this.projection = d3.geoNaturalEarth1().fitExtent([[2, 2], [WIDTH - 2, HEIGHT - 2]], sphere);
    const path = d3.geoPath(this.projection).digits(1);
    const drawn = (name, of) => shape("path", { class: name, d: path(of) });
    this.points = shape("g", {});
    const image = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group", "aria-label": "Connected peers on a map of the world" },
      drawn("sea", sphere), drawn("lines", d3.geoGraticule10()), drawn("land", topojson.feature(atlas, atlas.objects.land)), this.points);
    at("geography-image").replaceChildren(image);
  }

  #points(peers) {
    const placed = peers.filter(({ place }) => place.latitude != null);
    const present = new Set(placed.map((peer) => peer.id));
    for (const [id, drawn] of this.of) {
      if (present.has(id)) continue;
      drawn.point.remove();
      this.of.delete(id);
    }
    const taken = new Map();
    for (const peer of placed) {
      const [x, y] = this.projection([peer.place.longitude, peer.place.latitude]);
      const spot = `${Math.round(x)} ${Math.round(y)}`;
      const before = taken.get(spot) ?? 0;
      taken.set(spot, before + 1);
      const [r, way] = [APART * Math.sqrt(before), TURN * before];
      const drawn = this.#point(peer.id);
      drawn.place = peer.place.words;
      drawn.point.setAttribute("cx", (x + r * Math.cos(way)).toFixed(1));
      drawn.point.setAttribute("cy", (y + r * Math.sin(way)).toFixed(1));
      this.#paint(drawn, peer.latency_ms);
    }
  }

  #point(id) {
    let drawn = this.of.get(id);
    if (!drawn) {
      const title = shape("title", {});
      const point = shape("circle", { tabindex: 0, role: "button" }, title);
      point.addEventListener("click", () => this.open(id));
      point.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        this.open(id);
      });
      this.points.append(point);
      drawn = { id, title, point, place: "" };
      this.of.set(id, drawn);
    }
    return drawn;
  }

  #paint({ id, title, point, place }, latency) {
    const [, kind, size] = kindOf(latency);
    const words = `${short(id)}, ${place}, ${ms(latency)}`;
    if (title.textContent === words) return;
    title.textContent = words;
    point.setAttribute("class", `peer ${kind}`);
    point.setAttribute("r", size);
    point.setAttribute("aria-label", words);
  }

  #words({ database, peers, left_out: left, countries, without_country: without }) {
    say(at("geography-note"), `Places are what ${database.kind}, made ${database.built_at.slice(0, 10)}, says of the addresses of ` +
      "connected peers: a guess that may be far off." +
      (database.has_coordinates ? " Peers of one place are drawn side by side." : " It has countries alone, and therefore no map is drawn."));
    const all = peers.length + left;
    const off = peers.filter(({ place }) => place.latitude == null).length;
    const elsewhere = countries.slice(TOLD_MAX).reduce((sum, country) => sum + country.peers, 0);
    const parts = countries.slice(0, TOLD_MAX).map(({ name, peers: number }) => `${count(number)} in ${name}`);
    if (elsewhere) parts.push(`${count(elsewhere)} elsewhere`);
    if (without) parts.push(`${count(without)} without a known country`);
    const sentences = [`Of ${count(all)} connected peers: ${parts.join(", ")}.`];
    if (database.has_coordinates && off) sentences.push(`Of ${count(off)} no coordinates are known: they are not on the map.`);
    if (left) sentences.push(`${count(left)} more are counted and not drawn.`);
    say(at("geography-says"), all ? sentences.join(" ") : "No peer is connected.");
  }

  #countries({ countries, without_country: without }) {
    const rows = countries.map(({ code, name, peers, median_latency_ms: median }) =>
      [code && code !== name ? `${name} (${code})` : name, count(peers), ms(median)]);
    if (without) rows.push(["no country known", count(without), "–"]);
    const cell = (text, index) => make("td", { className: index ? "number" : "" }, text);
    at("country-rows").replaceChildren(...rows.map((row) => make("tr", {}, ...row.map(cell))));
  }
}
