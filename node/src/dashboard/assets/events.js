// The list of events, the newest first.

import { at, clock, count, make, say, short } from "./dom.js";

/** The kinds of events that the node tells. */
export const KINDS = [
  "banned", "broadcast", "broadcast_rejected", "direct", "link_refused", "link_replaced", "observed_address", "other",
  "peer_down", "peer_proven", "peer_silent", "peer_state", "peer_up", "peer_violation", "request", "request_failed",
  "response", "score_changed", "trust_statements", "unbanned",
];
const SHOWN_MAX = 200;

export class Events {
  constructor(history) {
    this.history = history;
    this.drawn = 0;
    this.missed = 0;
    this.list = at("events");
    at("event-kind").append(...KINDS.map((kind) => make("option", { value: kind }, kind.replaceAll("_", " "))));
    at("event-kind").addEventListener("input", () => {
      this.drawn = 0;
      this.list.replaceChildren();
      this.draw();
    });
  }

  draw() {
    const kind = at("event-kind").value;
    const fresh = this.history.events.filter((event) => event.sequence > this.drawn && (!kind || event.kind === kind));
    this.list.prepend(...fresh.slice(-SHOWN_MAX).reverse().map((event) => this.#item(event)));
    while (this.list.children.length > SHOWN_MAX) this.list.lastElementChild.remove();
    this.drawn = this.history.sequence;
    const missed = this.missed ? `; ${count(this.missed)} were missed because this page was too slow` : "";
    say(at("event-count"), `${count(this.history.sequence)} since the start of the node${missed}`);
  }

  #item(event) {
    const parts = [make("time", { dateTime: event.time, title: event.time }, clock(event.time)), make("b", {}, event.kind.replaceAll("_", " "))];
    if (event.peer) parts.push(make("code", { title: event.peer }, short(event.peer)));
    return make("li", {}, ...parts, event.words);
  }
}
