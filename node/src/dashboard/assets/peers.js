// The table of peers.

import { at, bytes, clock, count, make, ms, say, short } from "./dom.js";

/** Rows shown at first, and with each "Show more". */
const PAGE = 100;

const rate = (value) => bytes(value, "/s");

/** Name, what it sorts by, how it is shown, whether it is a number. */
const COLUMNS = [
  ["Peer ID", (peer) => peer.id, (peer) => short(peer.id), false],
  ["Address", (peer) => peer.address, (peer) => peer.address ?? "–", false],
  ["Status", (peer) => peer.status, (peer) => peer.status, false],
  ["Version", (peer) => peer.version, (peer) => peer.version ?? "–", false],
  ["Latency", (peer) => peer.latency_ms, (peer) => ms(peer.latency_ms), true],
  ["Messages", (peer) => peer.messages_exchanged, (peer) => count(peer.messages_exchanged), true],
  ["Reputation", (peer) => peer.reputation_score, (peer) => (peer.reputation_score == null ? "–" : `${peer.reputation_score}/100`), true],
  ["Sent", (peer) => peer.rate_sent, (peer) => rate(peer.rate_sent), true],
  ["Received", (peer) => peer.rate_received, (peer) => rate(peer.rate_received), true],
  ["Since", (peer) => peer.connected_since, (peer) => (peer.connected_since ? clock(peer.connected_since) : "–"), false],
];

/** What is not there comes last, whichever way it is sorted. */
function compare(a, b, direction) {
  if (a == null || b == null) return (a == null) - (b == null);
  return (a < b ? -1 : a > b ? 1 : 0) * direction;
}

export class Peers {
  /** `open` shows one peer; `change` bans it, or ends its ban. */
  constructor({ open, change }) {
    this.open = open;
    this.change = change;
    this.list = [];
    this.summary = null;
    this.rows = new Map();
    this.sort = 2;
    this.direction = 1;
    this.shown = PAGE;
    this.selected = "";
    this.body = at("peer-rows");
    this.#head();
    for (const id of ["peer-filter", "peer-status"]) {
      at(id).addEventListener("input", () => {
        this.shown = PAGE;
        this.draw(true);
      });
    }
    at("peer-more").addEventListener("click", () => {
      this.shown += PAGE;
      this.draw(true);
    });
  }

  #head() {
    const cells = COLUMNS.map(([name, , , isNumber], index) => {
      const button = make("button", { type: "button" }, name);
      button.addEventListener("click", () => this.#sortBy(index));
      return make("th", { scope: "col", className: isNumber ? "number" : "" }, button);
    });
    const action = make("th", { scope: "col", className: "action" }, "Action");
    at("peer-head").replaceChildren(...cells, action);
    this.heads = cells;
    this.#sorted();
  }

  #sortBy(index) {
    this.direction = this.sort === index ? -this.direction : 1;
    this.sort = index;
    this.#sorted();
    this.draw(true);
  }

  #sorted() {
    this.heads.forEach((head, index) => {
      const way = this.direction > 0 ? "ascending" : "descending";
      head.setAttribute("aria-sort", index === this.sort ? way : "none");
    });
  }

  /** Takes in the answer of the API. */
  onList({ peers, summary }) {
    this.list = peers;
    this.summary = summary;
    this.draw(false);
  }

  /** Takes in fresh numbers of the connected peers. */
  onLinks(links) {
    const fresh = new Map(links.map((link) => [link.id, link]));
    for (const peer of this.list) {
      const link = fresh.get(peer.id);
      peer.rate_sent = link?.rate_sent;
      peer.rate_received = link?.rate_received;
      if (!link) continue;
      peer.latency_ms = link.latency_ms;
      peer.messages_exchanged = link.messages;
      peer.reputation_score = link.reputation_score;
    }
    this.draw(false);
  }

  select(id) {
    this.selected = id;
    this.draw(false);
  }

  #wanted() {
    const words = at("peer-filter").value.trim().toLowerCase();
    const status = at("peer-status").value;
    const has = (text) => text?.toLowerCase().includes(words);
    return this.list.filter((peer) =>
      (!status || peer.status === status) && (!words || has(peer.id) || has(peer.address) || has(peer.version)));
  }

  /** Draws the rows. While one of them has the focus they keep their places, unless `anew`. */
  draw(anew) {
    const wanted = this.#wanted();
    const key = COLUMNS[this.sort][1];
    const isHeld = !anew && this.body.contains(document.activeElement);
    const place = new Map(isHeld ? Array.from(this.body.children, (row, index) => [row.dataset.id, index]) : []);
    const at0 = (peer) => place.get(peer.id) ?? Infinity;
    wanted.sort((a, b) => (isHeld ? compare(at0(a), at0(b), 1) : 0) ||
      compare(key(a), key(b), this.direction) || compare(a.id, b.id, 1));
    const shown = wanted.slice(0, this.shown);
    const rows = shown.map((peer) => this.#row(peer));
    const same = rows.length === this.body.children.length && rows.every((row, index) => row === this.body.children[index]);
    if (!same && isHeld) this.#mend(rows);
    else if (!same) this.body.replaceChildren(...rows);
    const ids = new Set(shown.map((peer) => peer.id));
    for (const id of this.rows.keys()) if (!ids.has(id)) this.rows.delete(id);
    at("peer-more").hidden = wanted.length <= shown.length;
    say(at("peer-count"), this.summary
      ? `${shown.length} of ${count(this.summary.total_peers)} known; ${count(this.summary.connected)} connected, ${count(this.summary.banned)} banned` : "");
  }

  /** Adds and removes rows without moving the one that has the focus. */
  #mend(rows) {
    const wanted = new Set(rows);
    for (const row of Array.from(this.body.children)) if (!wanted.has(row)) row.remove();
    for (const row of rows) if (!row.isConnected) this.body.append(row);
  }

  #row(peer) {
    let row = this.rows.get(peer.id);
    if (!row) {
      row = this.#make(peer);
      this.rows.set(peer.id, row);
    }
    COLUMNS.forEach(([, , show], index) => {
      const cell = row.children[index];
      say(index ? cell : cell.firstChild, show(peer));
    });
    row.children[2].className = `status-${peer.status}`;
    row.setAttribute("aria-selected", String(peer.id === this.selected));
    const button = row.lastChild.firstChild;
    const isBanned = peer.status === "banned";
    say(button, isBanned ? "Unban" : "Ban");
    button.className = isBanned ? "unban" : "ban danger";
    button.setAttribute("aria-label", `${isBanned ? "Unban" : "Ban"} ${short(peer.id)}`);
    return row;
  }

  #make({ id }) {
    const name = make("button", { type: "button", className: "link", title: id });
    name.addEventListener("click", () => this.open(id));
    const cells = COLUMNS.map(([, , , isNumber]) => make("td", { className: isNumber ? "number" : "" }));
    cells[0].append(name);
    const button = make("button", { type: "button" });
    button.addEventListener("click", () => this.change(this.list.find((peer) => peer.id === id)));
    const row = make("tr", {}, ...cells, make("td", { className: "action" }, button));
    row.dataset.id = id;
    return row;
  }
}
