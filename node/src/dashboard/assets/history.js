// What was seen since the page was opened: ten minutes of samples, and what events tell of gossip and
// connections. The node keeps no history; a page opened later begins later.

const SAMPLES_MAX = 600;
const EVENTS_MAX = 500;
const PEER_SERIES = ["rtt", "rttMin", "window", "flight", "sent", "received", "delivery"];
/** Seconds of one bar of the connections made and lost. */
const BIN_S = 10;
const BINS_MAX = 60;

/** Columns of numbers of equal length, the oldest dropped first. */
class Columns {
  constructor(names) {
    this.time = [];
    this.of = Object.fromEntries(names.map((name) => [name, []]));
  }

  push(time, row) {
    this.time.push(time);
    for (const [name, values] of Object.entries(this.of)) values.push(row[name] ?? null);
    if (this.time.length > SAMPLES_MAX) {
      this.time.shift();
      for (const values of Object.values(this.of)) values.shift();
    }
  }

  /** The columns as the plots take them. */
  table(...names) {
    return [this.time, ...names.map((name) => this.of[name])];
  }

  last(name) {
    return this.of[name].at(-1) ?? null;
  }
}

/** The value below which this share of sorted values is. */
const quantile = (sorted, share) => (sorted.length ? sorted[Math.floor(share * (sorted.length - 1))] : null);

const sentOf = (link) => link.path?.bytes_sent ?? link.bytes_sent;
const receivedOf = (link) => link.path?.bytes_received ?? link.bytes_received;

export class History {
  constructor() {
    this.all = new Columns(["median", "most", "least", "sent", "received", "first", "again", "relayed"]);
    this.peers = new Map();
    this.links = [];
    this.sample = null;
    this.events = [];
    this.hops = [];
    this.bins = [];
    this.sequence = 0;
  }

  /** Takes in a sample. */
  onSample(sample) {
    const before = this.sample;
    const seconds = before ? (sample.unix_ms - before.unix_ms) / 1000 : 0;
    const time = sample.unix_ms / 1000;
    const known = new Map((before?.links ?? []).map((link) => [link.id, link]));
    let [sent, received] = [0, 0];
    for (const link of sample.links) {
      this.#rates(link, known.get(link.id), seconds);
      sent += link.rate_sent ?? 0;
      received += link.rate_received ?? 0;
      this.#onPath(time, link);
    }
    const latencies = sample.links.map((link) => link.latency_ms).filter((value) => value != null);
    latencies.sort((a, b) => a - b);
    const rate = (name) => (seconds > 0 ? Math.max(0, sample.stats[name] - before.stats[name]) / seconds : null);
    this.all.push(time, {
      least: latencies[0] ?? null,
      median: quantile(latencies, 0.5),
      most: latencies.at(-1) ?? null,
      sent: seconds > 0 ? sent : null,
      received: seconds > 0 ? received : null,
      first: rate("broadcasts_received"),
      again: rate("broadcasts_duplicate"),
      relayed: rate("copies_relayed"),
    });
    this.#bin(time);
    this.sample = sample;
    this.links = sample.links;
    this.#forget(new Set(sample.links.map((link) => link.id)), time);
  }

  /** Bytes a second of a link. A path that was left begins to count anew: that is no rate. */
  #rates(link, before, seconds) {
    if (!before || !(seconds > 0)) return;
    link.rate_sent = Math.max(0, sentOf(link) - sentOf(before)) / seconds;
    link.rate_received = Math.max(0, receivedOf(link) - receivedOf(before)) / seconds;
  }

  #onPath(time, link) {
    if (!this.peers.has(link.id)) this.peers.set(link.id, new Columns(PEER_SERIES));
    const path = link.path;
    this.peers.get(link.id).push(time, {
      rtt: path?.rtt_ms,
      rttMin: path?.rtt_min_ms,
      window: path?.congestion_window,
      flight: path?.bytes_in_flight,
      delivery: path?.delivery_rate,
      sent: link.rate_sent,
      received: link.rate_received,
    });
  }

  /** Drops the series of peers that have been gone for as long as a plot reaches. */
  #forget(present, now) {
    for (const [id, columns] of this.peers) {
      if (!present.has(id) && now - columns.time.at(-1) > SAMPLES_MAX) this.peers.delete(id);
    }
  }

  /** Takes in an event; `false` when it is known already. */
  onEvent(event) {
    if (event.sequence <= this.sequence) return false;
    this.sequence = event.sequence;
    this.events.push(event);
    if (this.events.length > EVENTS_MAX) this.events.shift();
    const hops = event.kind === "broadcast" ? event.detail?.hops : null;
    if (Number.isInteger(hops)) this.hops[hops] = (this.hops[hops] ?? 0) + 1;
    if (event.kind === "peer_state") this.#onState(event);
    return true;
  }

  /** The bin of this second; bins in which nothing happened are made as well. */
  #bin(second) {
    const begins = Math.floor(second / BIN_S) * BIN_S;
    const earliest = begins - (BINS_MAX - 1) * BIN_S;
    let next = Math.max((this.bins.at(-1)?.time ?? begins - BIN_S) + BIN_S, earliest);
    for (; next <= begins; next += BIN_S) this.bins.push({ time: next, made: 0, failed: 0, lost: 0 });
    this.bins = this.bins.slice(-BINS_MAX);
    return this.bins.findLast((bin) => bin.time <= begins);
  }

  #onState({ time, detail }) {
    const bin = this.#bin(Date.parse(time) / 1000);
    if (!bin) return;
    if (detail?.to === "connected") bin.made += 1;
    else if (detail?.to === "failed") bin.failed += 1;
    else if (detail?.from === "connected") bin.lost += 1;
  }

  link(id) {
    return this.links.find((link) => link.id === id);
  }
}
