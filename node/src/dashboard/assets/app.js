// The page: what comes from the node goes to the parts that show it.

import * as api from "./api.js";
import { Charts } from "./charts.js";
import { Detail } from "./detail.js";
import { at, bytes, count, facts, say, seldom, short, span } from "./dom.js";
import { Events, KINDS } from "./events.js";
import { Geography } from "./geography.js";
import { History } from "./history.js";
import { Network } from "./network.js";
import { Peers } from "./peers.js";
import { Topology } from "./topology.js";

/** Events after which the list of peers is another one. */
const CHANGES_PEERS = ["peer_up", "peer_down", "peer_state", "banned", "unbanned"];
/** How often peers are asked for when nothing happens, in milliseconds. */
const REFRESH = 10_000;
/** How often the map of the whole network is asked for, where there is one. */
const REFRESH_MAP = 2_000;
/** How often at most when much happens, and for each known peer in addition: a long list is work. */
const REFRESH_LEAST = 400;
const REFRESH_EACH = 0.5;

const history = new History();
const peers = new Peers({ open, change });
const detail = new Detail({ change, fail, closed: () => peers.select("") });
const topology = new Topology(open);
const charts = new Charts(history);
const network = new Network(open);
const geography = new Geography(open);
const events = new Events(history);
let isPaused = false;
let uptime = 0;
/** Whether places can be asked for: a recording has none. */
let hasPlaces = false;
/** Events that came before those of the past were known; `null` when they are. */
let early = [];

function fail(error) {
  if (!(error instanceof api.Refusal)) throw error;
  say(at("notice"), error.message);
  at("notice").hidden = false;
}

function live(isOn, words) {
  at("live").className = isOn ? "on" : "off";
  say(at("live"), words);
}

async function refresh() {
  try {
    peers.onList(await api.peers());
    peers.onLinks(history.links);
    await detail.refresh();
    await refreshPlaces();
    at("notice").hidden = true;
  } catch (error) {
    fail(error);
  }
}
/** Where the peers are; the answer says whether the node has a database of places. */
async function refreshPlaces() {
  if (hasPlaces) await geography.show(await api.geography());
}
/** The map, where the process knows the whole network. */
async function refreshMap() {
  try {
    network.show(await api.network());
  } catch (error) {
    fail(error);
  }
}
const refreshSoon = seldom(() => REFRESH_LEAST + REFRESH_EACH * peers.list.length, refresh);
const drawEvents = seldom(() => 200, () => !isPaused && events.draw());

async function showNode() {
  try {
    const node = await api.status();
    // Until this is known nothing is offered that might not work.
    const isRecording = Boolean(node.is_recording);
    document.body.classList.toggle("fixed", isRecording);
    at("recorded").hidden = !isRecording;
    hasPlaces = !isRecording;
    uptime = Date.now() / 1000 - node.uptime_s;
    document.title = `${short(node.id)} – Dunlin`;
    facts(at("node"), [["Node", node.id], ["Address", node.address], ["Network", node.network], ["Version", node.version]]);
    const past = (await api.recent(256)).events;
    for (const event of [...past, ...(early ?? [])]) history.onEvent(event);
    early = null;
    drawEvents();
    await refreshPlaces();
  } catch (error) {
    fail(error);
  }
}

function tiles({ stats, peers: by }) {
  const again = stats.broadcasts_received ? (stats.broadcasts_duplicate / stats.broadcasts_received).toFixed(2) : "–";
  facts(at("tiles"), [
    ["Connected", count(by.connected)],
    ["Silent", count(by.silent)],
    ["Connecting", count(by.connecting)],
    ["Known", count(by.known)],
    ["Banned", count(by.banned)],
    ["Broadcasts", count(stats.broadcasts_received)],
    ["Copies for each", again],
    ["Sent", bytes(history.all.last("sent"), "/s")],
    ["Received", bytes(history.all.last("received"), "/s")],
    ["Running", uptime ? span(Date.now() / 1000 - uptime) : "–"],
  ]);
}

function draw() {
  if (isPaused || document.hidden || !history.sample) return;
  tiles(history.sample);
  topology.draw(history.sample);
  charts.draw();
  peers.onLinks(history.links);
  geography.onLinks(history.links);
}

function open(id) {
  peers.select(id);
  charts.choose(id);
  detail.open(id);
}

/** Bans a peer after a question, or ends its ban. */
async function change(peer) {
  try {
    if (peer.status === "banned") await api.unban(peer.id);
    else if (await isSure(peer)) await api.ban(peer.id, "banned on the dashboard");
    else return;
    await refresh();
  } catch (error) {
    fail(error);
  }
}

function isSure(peer) {
  const box = at("confirm");
  at("confirm-h").textContent = `Ban ${short(peer.id)}?`;
  at("confirm-text").textContent = `It is told so, and neither dialled nor let in until its ban ends. Its whole ID: ${peer.id}`;
  box.returnValue = "";
  box.showModal();
  at("confirm-no").focus();
  return new Promise((done) => box.addEventListener("close", () => done(box.returnValue === "ban"), { once: true }));
}
at("confirm-yes").addEventListener("click", () => at("confirm").close("ban"));
at("confirm-no").addEventListener("click", () => at("confirm").close());

at("pause").addEventListener("click", ({ target }) => {
  isPaused = !isPaused;
  target.setAttribute("aria-pressed", String(isPaused));
  target.textContent = isPaused ? "Continue" : "Pause";
  draw();
  drawEvents();
});
document.addEventListener("visibilitychange", draw);

api.listen({
  sample(sample) {
    history.onSample(sample);
    draw();
  },
  event(event) {
    if (early) early.push(event);
    else if (!history.onEvent(event)) return;
    drawEvents();
    if (CHANGES_PEERS.includes(event.kind)) refreshSoon();
  },
  missed({ missed }) {
    events.missed += missed;
    refreshSoon();
  },
  open() {
    live(true, "live");
    showNode();
    refresh();
    refreshMap();
  },
  lost(forGood) {
    live(false, forGood ? "not connected" : "connecting again");
    if (forGood) api.status().catch(fail);
  },
}, KINDS);
setInterval(() => !isPaused && refresh(), REFRESH);
setInterval(() => !isPaused && !document.hidden && network.isWhole && refreshMap(), REFRESH_MAP);
