// Tells times as ages beside the clock time; the page is right without it.
import { say, span } from "./words.js";

const asof = document.getElementById("asof");
// The page's clock is the hub's: what is said of a device must not hang on the clock of a staff computer.
let skew = Date.now() - Date.parse(asof.dateTime);

function age(ms) {
  if (ms < 5000) return say("rel.now");
  const [unit, n] = span(ms);
  return say(`rel.${unit}`, { n });
}

export function tellAges() {
  const now = Date.now() - skew;
  for (const node of document.querySelectorAll("time[data-rel]")) {
    const text = age(Math.max(0, now - Date.parse(node.dateTime)));
    if (node.dataset.age !== text) node.dataset.age = text;
  }
}

export function setNow(stamp, text) {
  skew = Date.now() - Date.parse(stamp);
  asof.dateTime = stamp;
  asof.textContent = text;
}

setInterval(tellAges, 1000);
tellAges();
