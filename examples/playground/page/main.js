// The page: what the visitor does, and what is shown at each moment of the virtual time.

import { load } from "./engine.js";
import { draw, lastAnswer, stateAt, trackerAt } from "./map.js";
import { SCENARIOS, fromLink, toLink } from "./run.js";

const element = (id) => document.getElementById(id);
const make = (tag, content, properties = {}) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...[content].flat());
  return made;
};

let ask;
let run = fromLink(location.hash);
let shown = null;
let now = 0;
let isPlaying = true;
let chosen = null;
let cards = [];
let printed = 0;

/** Plays the run anew: a visitor's edit changes nothing that was before it. */
function play() {
  const { reply, text } = ask({ scenario: run.scenario, seed: run.seed, edits: run.edits });
  shown = reply;
  // For a test that compares it with the native program.
  window.playground = { run, text, now: () => now };
  for (const client of shown.clients) {
    client.answers = client.packets.filter((packet) => packet[3] === "announce" && !packet[4]);
    client.answers.sort((a, b) => a[1] - b[1]);
    client.heard.sort((a, b) => a - b);
  }
  element("scrub").max = shown.until;
  history.replaceState(null, "", toLink(run));
  element("scenario").value = run.scenario;
  element("seed").value = run.seed;
  showCards();
  showTrackers();
  printed = 0;
  element("lines").replaceChildren();
  show();
}

function start(changed) {
  run = { ...run, ...changed };
  now = 0;
  chosen = null;
  play();
}

function edit(change) {
  if (chosen === null) return;
  const at = Math.floor(now);
  const earlier = run.edits.filter((edit) => !(edit.tracker === chosen && edit.at >= at));
  run.edits = [...earlier, { at, tracker: chosen, change }];
  play();
}

function showCards() {
  const many = shown.torrents > 1 ? ` × ${shown.torrents.toLocaleString("en")}` : "";
  cards = shown.clients.map((client, number) => {
    const canvas = make("canvas", [], { title: "Click a tracker, then say what becomes of it" });
    canvas.addEventListener("click", (event) => choose(trackerAt(canvas, shown, event)));
    canvas.addEventListener("pointermove", (event) => explain(trackerAt(canvas, shown, event) ?? chosen));
    const inUse = make("span", "");
    const bar = (label) => {
      const fill = make("b", []);
      const figure = make("output", "");
      return { row: make("div", [make("span", label), make("i", fill), figure], { className: "bar" }), fill, figure };
    };
    const peers = bar(many ? "All have peers" : "First peers");
    const heard = bar("Announces heard");
    const title = make("h3", [client.name + many, inUse]);
    const card = make("article", [title, canvas, peers.row, heard.row], { className: number ? "client" : "client ours" });
    card.dataset.client = client.name;
    return { card, canvas, inUse, peers, heard };
  });
  element("clients").replaceChildren(...cards.map(({ card }) => card));
}

function showTrackers() {
  const buttons = shown.trackers.map((tracker, number) => {
    const scheme = tracker.name.split(":")[0];
    const details = `${scheme} · ${Math.round(tracker.distance)} ms · list ${tracker.place + 1}`;
    const shared = shown.trackers.filter((other) => other.cluster === tracker.cluster).length > 1 ? " · cluster" : "";
    const button = make("button", [make("b", `Tracker ${number}`), make("small", details + shared), make("small", "")]);
    button.addEventListener("click", () => choose(number));
    button.addEventListener("pointerenter", () => explain(number));
    button.addEventListener("focus", () => explain(number));
    return button;
  });
  element("trackers").replaceChildren(...buttons);
}

function choose(tracker) {
  chosen = tracker;
  explain(tracker);
  show();
}

/** The engine's own reasons for what it does with a tracker. */
function explain(tracker) {
  if (tracker === null || tracker === undefined) return;
  const question = { scenario: run.scenario, seed: run.seed, edits: run.edits, explain: { at: Math.floor(now), tracker } };
  const { torrent, tracker: of } = ask(question).reply;
  element("explain").textContent = torrent ? `${of} — ${torrent}` : "";
}

/** Shows the present moment. */
function show() {
  const seconds = (millis) => `${(millis / 1000).toFixed(1)} s`;
  element("clock").value = seconds(now);
  element("scrub").value = now;
  element("play").textContent = isPlaying ? "Pause" : "Play";
  element("chosen").textContent = chosen === null ? "No tracker chosen" : `Tracker ${chosen}:`;
  // The slower the time, the longer a packet that is quick may be shown.
  shown.slowest = 250 * Number(element("speed").value);
  [...element("trackers").children].forEach((button, number) => {
    const state = stateAt(shown.trackers[number], now);
    button.dataset.state = state;
    button.setAttribute("aria-pressed", String(number === chosen));
    button.lastElementChild.textContent = state === "up" ? (shown.trackers[number].peers ? "up" : "up, no peers") : state;
  });
  const waits = shown.clients.map(({ firstPeers }) => Math.min(firstPeers ?? Infinity, Math.max(now - shown.starts, 0)));
  const heards = shown.clients.map((client) => client.heard.filter((at) => at <= now).length * (client.heard.length ? 1 : 0));
  shown.clients.forEach((client, number) => {
    const { canvas, inUse, peers, heard } = cards[number];
    draw(canvas, shown, client, now, chosen);
    const last = lastAnswer(client, now);
    inUse.textContent = last === null ? "no answer yet" : `last answer: ${last}`;
    const isWaiting = client.firstPeers === null || now - shown.starts < client.firstPeers;
    peers.row.classList.toggle("waiting", isWaiting);
    peers.fill.style.width = `${(100 * waits[number]) / Math.max(...waits, 1000)}%`;
    peers.figure.textContent = `${(waits[number] / 1000).toFixed(waits[number] < 10000 ? 2 : 0)} s${isWaiting ? " …" : ""}`;
    heard.fill.style.width = `${(100 * heards[number]) / Math.max(...heards, 5)}%`;
    heard.figure.textContent = heards[number].toLocaleString("en");
  });
  print();
}

/** The lines up to now. Going back begins anew. */
function print() {
  const lines = shown.clients[0].lines;
  const due = lines.filter(([at]) => at <= now).length;
  const list = element("lines");
  if (due < printed) {
    list.replaceChildren();
    printed = 0;
  }
  for (const [at, text] of lines.slice(printed, due)) {
    list.append(make("li", [make("time", `${(at / 1000).toFixed(3)} `), text]));
  }
  if (due > printed) list.scrollTop = list.scrollHeight;
  printed = due;
}

/** To the next moment at which a packet is sent or arrives. */
function step() {
  isPlaying = false;
  const moments = shown.clients.flatMap(({ packets }) => packets.flatMap(([sent, arrives]) => [sent, arrives]));
  const next = moments.filter((at) => at > now);
  if (next.length) now = next.reduce((least, at) => Math.min(least, at));
  show();
}

function tick(before) {
  requestAnimationFrame((at) => {
    if (isPlaying && now < shown.until) {
      now = Math.min(now + (at - before) * Number(element("speed").value), shown.until);
      show();
    }
    tick(at);
  });
}

function listen() {
  element("scenario").append(...SCENARIOS.map(([value, title]) => make("option", title, { value })));
  element("scenario").addEventListener("change", (event) => start({ scenario: event.target.value, edits: [] }));
  element("seed").addEventListener("change", (event) => {
    start({ seed: Math.min(Math.max(Math.floor(Number(event.target.value)) || 0, 0), 2 ** 32 - 1) });
  });
  element("play").addEventListener("click", () => { isPlaying = !isPlaying; show(); });
  element("step").addEventListener("click", step);
  element("again").addEventListener("click", () => { now = 0; isPlaying = true; show(); });
  element("scrub").addEventListener("input", (event) => { now = Number(event.target.value); show(); explain(chosen); });
  element("undo").addEventListener("click", () => { run.edits = run.edits.slice(0, -1); play(); });
  element("link").addEventListener("click", async (event) => {
    await navigator.clipboard?.writeText(location.href).catch(() => {});
    event.target.textContent = "Link is in the address";
  });
  for (const button of document.querySelectorAll("[data-change]")) {
    button.addEventListener("click", () => edit(button.dataset.change));
  }
  window.addEventListener("hashchange", () => { run = fromLink(location.hash); start({}); });
  window.addEventListener("resize", () => show());
  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || ["SELECT", "INPUT"].includes(event.target.tagName)) return;
    if (event.key === " " && event.target.tagName === "BUTTON") return;
    const changes = { k: "kill", f: "refuse", m: "mute", s: "slow", e: "empty", v: "revive" };
    const key = event.key.toLowerCase();
    if (key in changes) edit(changes[key]);
    else if (/^[0-7]$/.test(key)) choose(Number(key));
    else if (key === " ") { event.preventDefault(); element("play").click(); }
    else if (key === "arrowright") step();
    else if (key === "r") element("again").click();
    else if (key === "u") element("undo").click();
  });
}

try {
  ask = await load("playground.wasm");
  listen();
  play();
  tick(performance.now());
} catch (error) {
  element("error").hidden = false;
  element("error").textContent = location.protocol === "file:"
    ? "A browser loads WebAssembly from a server only: run `python3 -m http.server` in this folder."
    : String(error.message ?? error);
}
