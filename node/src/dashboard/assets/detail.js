// One peer: what is known of it, and its story.

import * as api from "./api.js";
import { at, bytes, clock, count, facts, make, ms, short } from "./dom.js";

const list = (values) => (values?.length ? values.join(", ") : "–");

export class Detail {
  /** `change` bans or ends a ban; `fail` shows a failure; `closed` follows the end. */
  constructor({ change, fail, closed }) {
    this.id = "";
    this.peer = null;
    this.fail = fail;
    this.closed = closed;
    this.ban = make("button", { type: "button", id: "detail-ban" }, "Ban");
    this.ban.addEventListener("click", () => change(this.peer));
    this.goodbye = make("button", { type: "button" }, "Disconnect");
    this.goodbye.addEventListener("click", () => this.#disconnect());
    const close = make("button", { type: "button" }, "Close");
    close.addEventListener("click", () => this.close());
    const actions = make("span", { className: "action" }, this.ban, this.goodbye);
    at("detail-buttons").append(actions, close);
  }

  async open(id) {
    this.id = id;
    await this.refresh();
    if (this.id !== id) return;
    at("detail").hidden = false;
    at("detail").focus();
    at("detail").scrollIntoView({ block: "nearest" });
  }

  close() {
    this.id = "";
    at("detail").hidden = true;
    this.closed();
  }

  async #disconnect() {
    try {
      await api.disconnect(this.id);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Asks again; without a peer there is nothing to ask. */
  async refresh() {
    const id = this.id;
    if (!id) return;
    try {
      const [peer, story] = await Promise.all([api.detail(id), api.story(id)]);
      if (this.id === id) this.#show(peer, story);
    } catch (error) {
      this.fail(error);
    }
  }

  #show(peer, story) {
    this.peer = peer;
    const isBanned = peer.status === "banned";
    at("detail-h").textContent = `Peer ${short(peer.id)}`;
    this.ban.textContent = isBanned ? "Unban" : "Ban";
    this.ban.className = isBanned ? "" : "danger";
    this.goodbye.hidden = peer.status !== "connected";
    const path = peer.path;
    facts(at("detail-facts"), [
      ["ID", peer.id],
      ["Status", `${peer.status}: ${peer.reason}`],
      ["Banned until", peer.banned_until ?? "–"],
      ["Known from", peer.source],
      ["Address on the link", peer.address ?? "–"],
      ...(peer.place ? [["Place", peer.place.words]] : []),
      ["May be dialled at", list(peer.addresses)],
      ["Link opened by", { outbound: "this node", inbound: "the peer" }[peer.direction] ?? "–"],
      ["Connected since", peer.connected_since ?? "–"],
      ["Last heard", peer.last_activity ?? "–"],
      ["Software, as it says", peer.user_agent ?? "–"],
      ["Roles, as it says", list(peer.roles)],
      ["Capabilities, as it says", list(peer.capabilities)],
      ["Reputation", peer.reputation_score == null ? "–" : `${peer.reputation_score}/100`],
      ["Failures in a row", count(peer.failures)],
      ["Messages", `${count(peer.messages_sent)} sent (${bytes(peer.bytes_sent)}), ${count(peer.messages_received)} received (${bytes(peer.bytes_received)})`],
      ["Broadcasts", `${count(peer.first_deliveries)} brought first, ${count(peer.duplicates)} again`],
      ...(path ? [
        ["Path", `${path.carrier}, packets up to ${path.mtu} bytes`],
        ["Round trip", `${ms(path.rtt_ms)}, lowest ${ms(path.rtt_min_ms)}`],
        ["Packets", `${count(path.packets_sent)} sent, ${count(path.packets_lost)} of them lost`],
      ] : []),
    ]);
    at("story-note").textContent = story.forgotten ? `${story.forgotten} older entries are not in memory any more.` : "";
    at("detail-story").replaceChildren(...story.entries.map((entry) => make("li", {},
      make("time", { dateTime: entry.time, title: entry.time }, clock(entry.time)), entry.words)));
  }
}
