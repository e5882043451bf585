// The API of the node, as docs/api.md has it.

/** A request that failed; its message is a sentence for the reader. */
export class Refusal extends Error {}

async function ask(method, path, body) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(`/api/v1/${path}`, options);
  } catch {
    throw new Refusal("The node does not answer; is it still running?");
  }
  if (answer.status === 401) {
    throw new Refusal("This browser is no longer let in; run `dunlin dashboard` and open the link that it prints.");
  }
  const said = await answer.json();
  if (!answer.ok) throw new Refusal(said.detail);
  return said;
}

const peer = (id) => `peers/${encodeURIComponent(id)}`;

export const status = () => ask("GET", "status");
export const peers = () => ask("GET", "peers");
export const detail = (id) => ask("GET", peer(id));
export const story = (id) => ask("GET", `${peer(id)}/story`);
export const recent = (count) => ask("GET", `events/recent?count=${count}`);
export const geography = () => ask("GET", "geo");
export const network = () => ask("GET", "network");
export const ban = (id, reason) => ask("POST", "bans", { subject: id, reason });
export const unban = (id) => ask("DELETE", `bans/${encodeURIComponent(id)}`);
export const disconnect = (id) => ask("DELETE", peer(id));

/** Listens to events and samples; `on` has a function for each: sample, event, missed, open, lost. */
export function listen(on, kinds) {
  const source = new EventSource("/api/v1/events?samples=1000");
  const parsed = (what) => (message) => what(JSON.parse(message.data));
  source.addEventListener("sample", parsed(on.sample));
  source.addEventListener("missed", parsed(on.missed));
  for (const kind of kinds) source.addEventListener(kind, parsed(on.event));
  source.addEventListener("open", on.open);
  source.addEventListener("error", () => on.lost(source.readyState === EventSource.CLOSED));
  return source;
}
