// The plots of the page: which numbers, and their words.

import { at, bytes, count, digits, make, ms, short } from "./dom.js";
import { Plot } from "./plot.js";

/** Bars of the bandwidth of single peers. */
const BARS_MAX = 10;
const rate = (value) => bytes(value, "/s");
const whole = (value) => (Number.isInteger(value) ? count(value) : "");
const perSecond = (value) => `${digits(value)}/s`;

/** All plots; `chosen` tells the peer of the plots of one connection. */
export class Charts {
  constructor(history) {
    this.history = history;
    this.chosen = "";
    this.map = new Plot("map", {
      series: [{ label: "round trip of each peer, the nearest first", colour: "one", points: true }],
      format: ms, x: whole, log: true,
    });
    this.latency = new Plot("latency", {
      series: [
        { label: "slowest", colour: "two", dash: [5, 3] },
        { label: "median", colour: "one" },
        { label: "fastest", colour: "three", dash: [2, 3] },
      ],
      format: ms,
    });
    const both = [{ label: "sent", colour: "one" }, { label: "received", colour: "two", dash: [5, 3] }];
    this.bandwidth = new Plot("bandwidth", { series: both, format: rate });
    this.byPeer = new Plot("bypeer", {
      series: [{ label: "sent", colour: "one", bars: 1 }, { label: "received", colour: "two", bars: -1 }],
      format: rate, x: (value) => short(this.top[value]?.id ?? "").slice(7, 12),
    });
    this.top = [];
    this.gossip = new Plot("gossip", {
      series: [
        { label: "first copies", colour: "one" },
        { label: "further copies", colour: "two", dash: [5, 3] },
        { label: "passed on", colour: "three", dash: [2, 3] },
      ],
      format: perSecond,
    });
    this.hops = new Plot("hops", { series: [{ label: "broadcasts", colour: "one", bars: true }], format: whole, x: whole });
    this.dials = new Plot("dials", {
      series: [
        { label: "made", colour: "three" },
        { label: "failed", colour: "bad", dash: [5, 3] },
        { label: "lost", colour: "two", dash: [2, 3] },
      ].map((one) => ({ ...one, points: false })),
      format: whole,
    });
    this.reputation = new Plot("reputation", {
      series: [{ label: "peers", colour: "one", bars: true }], format: whole,
      x: (value) => (value % 1 || value < 0 || value > 9 ? "" : `${value * 10}–`),
    });
    this.window = new Plot("window", {
      series: [{ label: "window", colour: "one" }, { label: "in flight", colour: "two", dash: [5, 3] }], format: bytes,
    });
    this.rtt = new Plot("rtt", {
      series: [{ label: "smoothed", colour: "one" }, { label: "lowest", colour: "three", dash: [2, 3] }], format: ms,
    });
    this.rate = new Plot("rate", { series: [...both, { label: "delivered", colour: "three", dash: [2, 3] }], format: rate });
    at("path-peer").addEventListener("change", (event) => this.choose(event.target.value));
  }

  /** Shows the connection of this peer. */
  choose(id) {
    this.chosen = id;
    this.#connection();
  }

  draw() {
    const { all, links } = this.history;
    this.latency.show(all.table("most", "median", "least"), links.length
      ? `Now: median ${ms(all.last("median"))}, fastest ${ms(all.last("least"))}, slowest ${ms(all.last("most"))}.`
      : "No peer is connected.");
    this.bandwidth.show(all.table("sent", "received"),
      `Now: ${rate(all.last("sent"))} sent, ${rate(all.last("received"))} received, packets of all links.`);
    this.gossip.show(all.table("first", "again", "relayed"), this.#gossipWords());
    this.#map(links);
    this.#byPeer(links);
    this.#hops();
    this.#dials();
    this.#reputation(links);
    this.#choices(links);
    this.#connection();
  }

  #gossipWords() {
    const stats = this.history.sample?.stats;
    if (!stats) return "";
    const [first, again] = [stats.broadcasts_received, stats.broadcasts_duplicate];
    const each = first ? `, ${digits(again / first)} for each` : "";
    return `Since the start of the node: ${count(first)} broadcasts received, ${count(again)} further copies${each}; ` +
      `${count(stats.broadcasts_sent)} of its own, ${count(stats.copies_relayed)} copies passed on.`;
  }

  #map(links) {
    const near = links.filter((link) => link.latency_ms > 0).sort((a, b) => a.latency_ms - b.latency_ms);
    const bands = [1, 10, 100].map((limit) => near.filter((link) => link.latency_ms < limit).length);
    this.map.show([near.map((_, index) => index + 1), near.map((link) => link.latency_ms)], near.length
      ? `Of ${near.length} peers, ${bands[0]} are nearer than 1 ms, ${bands[1]} than 10 ms, ${bands[2]} than 100 ms. ` +
        `Nearest: ${short(near[0].id)}, ${ms(near[0].latency_ms)}; farthest: ${short(near.at(-1).id)}, ${ms(near.at(-1).latency_ms)}.`
      : "No round trip has been measured yet.");
  }

  #byPeer(links) {
    const total = (link) => (link.rate_sent ?? 0) + (link.rate_received ?? 0);
    this.top = [...links].sort((a, b) => total(b) - total(a)).slice(0, BARS_MAX);
    const data = [
      this.top.map((_, index) => index), this.top.map((link) => link.rate_sent ?? 0), this.top.map((link) => link.rate_received ?? 0),
    ];
    const busiest = this.top[0];
    this.byPeer.show(data, busiest
      ? `The busiest: ${short(busiest.id)}, ${rate(busiest.rate_sent ?? 0)} sent, ${rate(busiest.rate_received ?? 0)} received. The table has all.`
      : "No peer is connected.");
  }

  #hops() {
    const hops = Array.from(this.history.hops, (number) => number ?? 0);
    const all = hops.reduce((sum, number) => sum + number, 0);
    this.hops.show([hops.map((_, index) => index), hops], all
      ? `${count(all)} broadcasts seen by this page: ${hops.map((number, index) => (number ? `${count(number)} over ${index}` : "")).filter(Boolean).join(", ")} hops.`
      : "No broadcast has come since this page was opened.");
  }

  #dials() {
    const { bins, sample } = this.history;
    const sum = (name) => bins.reduce((all, bin) => all + bin[name], 0);
    this.dials.show([bins.map((bin) => bin.time), bins.map((bin) => bin.made), bins.map((bin) => bin.failed), bins.map((bin) => bin.lost)],
      `In ten seconds each. Seen by this page: ${sum("made")} made, ${sum("failed")} failed, ${sum("lost")} lost; ` +
      `dials since the start of the node: ${count(sample?.stats.dials ?? 0)}.`);
  }

  #reputation(links) {
    const scores = links.map((link) => link.reputation_score).filter((score) => score != null);
    const bins = Array(10).fill(0);
    for (const score of scores) bins[Math.min(9, Math.floor(score / 10))] += 1;
    const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
    this.reputation.show(scores.length ? [bins.map((_, index) => index), bins] : [[], []], scores.length
      ? `Of ${scores.length} connected peers, from 0 to 100: mean ${digits(mean)}, lowest ${Math.min(...scores)}, highest ${Math.max(...scores)}.`
      : "This node has rated no connected peer yet.");
  }

  #choices(links) {
    const select = at("path-peer");
    const ids = links.map((link) => link.id);
    if (!ids.includes(this.chosen) && !this.history.peers.has(this.chosen)) this.chosen = ids[0] ?? "";
    if (this.chosen && !ids.includes(this.chosen)) ids.unshift(this.chosen);
    const shown = Array.from(select.options, (option) => option.value);
    if (ids.join() !== shown.join()) {
      select.replaceChildren(...ids.map((id) => make("option", { value: id }, short(id))));
    }
    if (select.value !== this.chosen) select.value = this.chosen;
  }

  #connection() {
    const columns = this.history.peers.get(this.chosen);
    const plots = [[this.window, ["window", "flight"]], [this.rtt, ["rtt", "rttMin"]], [this.rate, ["sent", "received", "delivery"]]];
    if (!columns) {
      for (const [plot, names] of plots) plot.show([[], ...names.map(() => [])], "No peer is connected.");
      return;
    }
    const last = (name) => columns.last(name);
    const words = [
      `Now: a window of ${bytes(last("window"))}, ${bytes(last("flight"))} in flight.`,
      `Now: ${ms(last("rtt"))}; lowest ${ms(last("rttMin"))}.`,
      `Now: ${rate(last("sent"))} sent, ${rate(last("received"))} received.`,
    ];
    plots.forEach(([plot, names], index) => plot.show(columns.table(...names), words[index]));
  }
}
