// The live feed: one EventSource, one change to the page per frame, a pause that forgets nothing silently.
import { leaveIfSignedOut, refresh } from "./refresh.js";
import { nameOf, say, span } from "./words.js";

const ROWS = 120; // rows kept in the feed
const HELD = 2000; // rows kept while paused
const LATE_MS = 15000; // an event that needed longer to arrive is marked

const SHAPE = {
  CHECKOUT: "↗", RENEW: "↻", RETURN: "↙", RECEIVE: "⇥", TRANSIT_SENT: "⇢", ENTRY: "→", EXIT: "←",
  REFUSED: "✕", TAG_WRITTEN: "▣", DEVICE: "◆", GATE_ALARM: "▲", PEOPLE_COUNTED: "≡", BLOCK_SET: "■", BLOCK_LIFTED: "□",
};

const feed = document.getElementById("feed");
const feedState = document.getElementById("feed-state");
const pause = document.getElementById("feed-pause");
const empty = document.getElementById("feed-empty");
const clock = new Intl.DateTimeFormat("en-GB", { timeZone: feed.dataset.zone, timeStyle: "medium", hourCycle: "h23" });

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

const held = [];
let paused = false;
let dropped = false;

function what(event) {
  const codes = event.codes.filter((code) => code !== "OK").map((code) => say(`reason.${code}`)).join(" · ");
  const library = event.home ? say("reader.of", { library: nameOf(event.home) }) : "";
  const to = event.route?.action === "TRANSIT" ? event.route.dest : event.data.to;
  const place = to ? `${nameOf(event.branch)} ⇢ ${nameOf(to)}` : nameOf(event.branch);
  const sub = [place];
  let main;
  if (event.kind === "GATE_ALARM") {
    main = event.item ? titleOf(event.item) : say(`alarm.${event.data.code}`);
    sub.unshift(say(`alarm.${event.data.code}`));
    sub.push(event.device);
  } else if (event.kind === "PEOPLE_COUNTED") {
    main = say("feed.people", { in: event.data.came, out: event.data.left });
    sub.push(event.device);
  } else if (event.kind === "REFUSED") {
    main = codes;
    sub.unshift(say(`function.${event.data.function}`));
    sub.push(library || say("reader.unknown"));
    if (event.item) sub.push(titleOf(event.item));
  } else if (event.item) {
    main = titleOf(event.item);
    sub.push(codes, library);
  } else if (event.kind === "DEVICE") {
    main = `${event.device} ${say(`state.${event.data.state}`)}`;
  } else {
    main = library || place;
    if (!library) sub.pop();
    if (event.data.passage === "assumed") sub.push(say("feed.assumed"));
  }
  return [element("span", "title", main), element("span", "sub", sub.filter(Boolean).join(" · "))];
}

const titleOf = (item) => item.title ?? `${item.owner} / ${item.item_no}`;

function row(event) {
  const li = element("li", `event ${event.kind}`);
  li.dataset.pos = event.pos;
  li.dataset.tEff = event.t_eff;
  li.dataset.tArr = event.t_arr;
  const time = element("time", "", clock.format(new Date(event.t_eff)));
  time.dateTime = event.t_eff;
  const kind = element("span", "kind");
  const shape = element("span", "shape", SHAPE[event.kind] ?? "•");
  shape.setAttribute("aria-hidden", "true");
  kind.append(shape, say(`event.${event.kind}`));
  const body = element("span", "what");
  body.append(...what(event));
  const late = Date.parse(event.t_arr) - Date.parse(event.t_eff);
  if (late > LATE_MS) {
    const [unit, n] = span(late);
    body.append(element("span", "tag", say("feed.late", { t: say(`dur.${unit}`, { n }) })));
  }
  li.append(time, kind, body);
  return li;
}

let waiting = [];
function show(event) {
  if (paused) {
    held.push(event);
    if (held.length > HELD) { held.shift(); dropped = true; }
    pause.dataset.n = held.length;
    feedState.textContent = say("feed.held", { n: held.length });
    return;
  }
  // One change to the page per frame, however many events arrive.
  if (!waiting.length) requestAnimationFrame(paint);
  waiting.push(event);
}

function paint() {
  const batch = waiting.slice(-ROWS);
  waiting = [];
  const newest = document.createDocumentFragment();
  for (const event of batch.reverse()) newest.append(event.gap ? element("li", "gap", say("feed.resync")) : row(event));
  feed.prepend(newest);
  while (feed.children.length > ROWS) feed.lastElementChild.remove();
  empty.hidden = feed.children.length > 0;
}

pause.hidden = false;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = say(paused ? "feed.resume" : "feed.pause");
  if (paused) {
    feedState.textContent = say("feed.held", { n: 0 });
    return;
  }
  if (dropped) show({ gap: true });
  dropped = false;
  held.splice(0).forEach(show);
  connection(source.readyState === EventSource.OPEN);
});

function connection(open) {
  if (paused) return;
  feedState.className = `state ${open ? "online" : "offline"}`;
  feedState.textContent = `${open ? "●" : "■"} ${say(open ? "feed.live" : "feed.lost")}`;
}

const source = new EventSource(`/api/v1/stream?after=${feed.dataset.after}`);
source.addEventListener("open", () => connection(true));
source.addEventListener("error", () => {
  connection(false);
  if (source.readyState === EventSource.CLOSED) fetch("/fragment/overview").then(leaveIfSignedOut, () => {});
});
source.addEventListener("event", (message) => show(JSON.parse(message.data)));
source.addEventListener("node", refresh); // a branch came or went: do not wait for the next round
source.addEventListener("resync", () => show({ gap: true }));
