// Fetches the changing part of a page again every few seconds. What cannot be fetched looks old.
import { setNow, tellAges } from "./ages.js";

const REFRESH_MS = 5000;
const now = document.getElementById("now");
let shown = "";

export function leaveIfSignedOut(answer) {
  if (answer.status === 401 || answer.redirected) location.assign("/login");
  return answer;
}

function replace(html) {
  const found = new DOMParser().parseFromString(html, "text/html");
  const fresh = (found.getElementById("now") ?? found.body).innerHTML;
  if (fresh === shown) return;
  const focused = now.contains(document.activeElement) ? document.activeElement.id : "";
  const scrolled = [...now.querySelectorAll(".scroll")].map((node) => node.scrollLeft);
  now.innerHTML = fresh;
  shown = fresh;
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  now.querySelectorAll(".scroll").forEach((node, i) => { node.scrollLeft = scrolled[i] ?? 0; });
}

export async function refresh() {
  if (document.hidden) return;
  try {
    const answer = leaveIfSignedOut(await fetch(now.dataset.refresh, { signal: AbortSignal.timeout(4000) }));
    if (!answer.ok) throw new Error(String(answer.status));
    replace(await answer.text());
    setNow(answer.headers.get("x-now"), answer.headers.get("x-now-local"));
    now.classList.remove("stale");
  } catch {
    now.classList.add("stale");
  }
  tellAges();
}

setInterval(refresh, REFRESH_MS);
document.addEventListener("visibilitychange", refresh);
