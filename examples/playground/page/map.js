// The map of one client: itself in the centre, trackers at their distances, packets on their way.

const RADIUS = 9;

/** Where each tracker is on a map of this size. */
export function places(trackers, width, height) {
  const most = Math.max(...trackers.map((tracker) => tracker.distance), 1);
  return trackers.map((tracker, number) => {
    const angle = (number / trackers.length) * 2 * Math.PI - Math.PI / 2;
    const share = 0.32 + 0.68 * Math.sqrt(tracker.distance / most);
    return {
      x: width / 2 + Math.cos(angle) * share * (width / 2 - 26),
      y: height / 2 + Math.sin(angle) * share * (height / 2 - 20),
    };
  });
}

/** The state of a tracker at a moment. */
export function stateAt(tracker, at) {
  let state = "up";
  for (const [from, next] of tracker.states) if (from <= at) state = next;
  return state;
}

/** Draws a client's map at a moment. */
export function draw(canvas, run, client, at, chosen) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  const colour = palette();
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const where = places(run.trackers, width, height);
  const centre = { x: width / 2, y: height / 2 };

  const lasts = lastAnswer(client, at);
  where.forEach((place, number) => {
    context.strokeStyle = number === lasts ? colour.ours : colour.line;
    context.lineWidth = number === lasts ? 2.5 : 1;
    context.beginPath();
    context.moveTo(centre.x, centre.y);
    context.lineTo(place.x, place.y);
    context.stroke();
  });

  context.lineWidth = 1.5;
  const size = Math.min(3.5 + Math.log2(client.weight) * 0.6, 10);
  for (const [sent, arrives, tracker, kind, isOutward, vanishes, named] of client.packets) {
    // A packet is shown for a quarter of a second at least, so that near trackers are seen as well.
    if (at < sent) break;
    const takes = Math.max(arrives - sent, run.slowest);
    if (at > sent + takes) continue;
    const share = ((at - sent) / takes) * (vanishes ? 0.6 : 1);
    const [from, to] = isOutward ? [centre, where[tracker]] : [where[tracker], centre];
    const dot = { x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share };
    const isAnswer = !isOutward && kind === "announce";
    context.fillStyle = context.strokeStyle = kind === "refusal" ? colour.refusal
      : isAnswer ? (named > 0 ? colour.answer : colour.poor) : kind === "announce" ? colour.announce : colour.opening;
    context.beginPath();
    context.arc(dot.x, dot.y, kind === "announce" ? size + 1 : size, 0, 2 * Math.PI);
    if (vanishes) context.stroke(); else context.fill();
  }

  context.font = "11px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  where.forEach((place, number) => {
    const state = stateAt(run.trackers[number], at);
    context.fillStyle = colour.card;
    context.strokeStyle = colour[{ up: "up", slow: "poor", empty: "poor" }[state] ?? "down"];
    context.lineWidth = number === chosen ? 4 : 2;
    context.beginPath();
    context.arc(place.x, place.y, RADIUS, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
    context.fillStyle = colour.ink;
    context.fillText(String(number), place.x, place.y + 0.5);
  });
  context.fillStyle = colour.ink;
  context.beginPath();
  context.arc(centre.x, centre.y, 5, 0, 2 * Math.PI);
  context.fill();
}

/** The tracker at a place of the canvas, if there is one. */
export function trackerAt(canvas, run, event) {
  const box = canvas.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  const where = places(run.trackers, box.width, box.height);
  const near = where.map((place, number) => [Math.hypot(place.x - x, place.y - y), number]);
  near.sort((a, b) => a[0] - b[0]);
  return near[0][0] < 22 ? near[0][1] : null;
}

/** The tracker that answered a client last. */
export function lastAnswer(client, at) {
  let last = null;
  for (const packet of client.answers) {
    if (packet[1] > at) break;
    last = packet[2];
  }
  return last;
}

let colours = null;

/** The colours of the page, in its present scheme. */
function palette() {
  if (colours) return colours;
  colours = {};
  const probe = document.createElement("i");
  document.body.append(probe);
  for (const name of ["ink", "line", "card", "ours", "opening", "announce", "answer", "refusal", "up", "down", "poor"]) {
    probe.style.color = `var(--${name})`;
    colours[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return colours;
}

window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { colours = null; });
