// The trace pages: paint what the edge kept, already masked. One EventSource a tab.

const boot = JSON.parse(document.getElementById("boot").textContent);
const $ = (id) => document.getElementById(id);
const MOST = 500;
const view = { lang: localStorage.getItem("trace-lang") === "en" ? "en" : "zh", paused: false, waiting: [], lines: [], leftOut: 0, broken: false };
const t = (key) => boot.texts[view.lang][key] ?? key;

function el(tag, cls, text) {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  if (text !== undefined) node.textContent = text;
  return node;
}

const clock = (text) => (text ? text.slice(11, 23).replace(/[+Z-].*$/, "") : "–");
const day = (text) => (text ? `${text.slice(0, 10)} ${text.slice(11, 19)}` : "–");
const note = (text) => text.split(/[ =]/).map((word) => boot.notes[view.lang][word] ?? word).join(" ");

// ---- the list ----

function plain(value) {
  if (value === null || value === undefined || value === "") return "–";
  return Array.isArray(value) ? value.join(", ") || "–" : String(value);
}

// What the server learned of the first connection, each value with where it comes from; before one, what is configured.
function dialect(kiosk) {
  const learned = kiosk.connections[0]?.dialect;
  const list = el("dl");
  const say = (key, value, from) => {
    if (value === undefined) return;
    list.append(el("dt", "", t(key)), el("dd", "", from ? `${plain(value)} (${t(from)})` : plain(value)));
  };
  if (learned) {
    const checked = learned.error_detection;
    const over = learned.checksum_over ? `, ${t(learned.checksum_over)}` : "";
    say("terminator", learned.terminator, learned.terminator_from);
    say("encoding", learned.encoding, learned.encoding_from);
    say("checksum", checked === null ? "–" : `${t(checked ? "on" : "off")}${over}`, checked === null ? "" : learned.error_detection_from);
    say("version", learned.version ?? undefined, "");
    if (learned.delimiter !== "|") say("delimiter", learned.delimiter, "configured");
    return list;
  }
  for (const key of ["terminator", "encoding", "checksum"]) {
    const set = kiosk.configured[key];
    if (set !== undefined && set !== "auto") say(key, set, "configured");
  }
  return list;
}

function row(kiosk) {
  const tr = el("tr"), name = el("th"), link = el("a", "", kiosk.kiosk);
  name.scope = "row";
  link.href = `/trace/${kiosk.kiosk.split("/").map(encodeURIComponent).join("/")}`;
  name.append(link);
  const first = kiosk.connections[0];
  const state = el("td");
  const listening = kiosk.kiosk.startsWith("(");
  state.append(el("span", first ? "state on" : "state", first ? t("connected") : listening ? t("no_login") : t("not_connected")));
  for (const each of kiosk.connections.slice(0, 4)) state.append(el("small", "", [each.listener, each.address].filter(Boolean).join(" · ")));
  if (kiosk.connections.length > 4) state.append(el("small", "", `+ ${kiosk.connections.length - 4}`));
  const speaks = el("td");
  speaks.append(dialect(kiosk));
  const count = el("td", "", String(kiosk.lines));
  if (kiosk.odd) count.append(el("small", "note", `${kiosk.odd} ${t("odd")}`));
  tr.append(name, state, speaks, el("td", "", plain(first?.dialect?.quirks)), el("td", "", day(first?.since)), el("td", "", day(kiosk.last_at ?? first?.last_at)), count);
  return tr;
}

async function refreshList() {
  if (document.hidden) return;
  try {
    const reply = await fetch("/trace/api/kiosks");
    if (!reply.ok) throw new Error(String(reply.status));
    view.kiosks = (await reply.json()).kiosks;
    $("broken").hidden = true;
  } catch {
    $("broken").hidden = false;
  }
  paintList();
}

function paintList() {
  const here = document.activeElement?.getAttribute?.("href");
  $("kiosks").replaceChildren(...(view.kiosks ?? []).map(row));
  $("empty").hidden = (view.kiosks ?? []).length > 0;
  if (here) $("kiosks").querySelector(`a[href="${CSS.escape(here)}"]`)?.focus();
}

// ---- one kiosk ----

function fits(line) {
  if ($("odd").checked && !line.note) return false;
  const wanted = $("filter").value.trim().toLowerCase();
  if (!wanted) return true;
  return [line.code, line.title, boot.titles_zh[line.code] ?? "", line.text, line.note, `#${line.connection}`].some((text) => text.toLowerCase().includes(wanted));
}

function lineRow(line) {
  const tr = el("tr", `${line.direction}${line.note ? " odd" : ""}`);
  tr.append(el("td", "", clock(line.at)), el("td", "", t(line.direction)));
  const title = view.lang === "zh" ? boot.titles_zh[line.code] ?? line.title : line.title || line.code;
  const message = el("td", "", `${line.code} ${title}`);
  message.append(el("small", "", `#${line.connection}`));
  const text = el("td", "text", line.text);
  if (line.note) text.append(el("span", "note", note(line.note)));
  tr.append(message, text, el("td", "", line.ms === null ? "" : `${line.ms.toFixed(1)} ms`));
  return tr;
}

function paintLines() {
  $("lines").replaceChildren(...view.lines.filter(fits).reverse().map(lineRow));
  say();
}

function say() {
  const words = [view.broken ? t("broken") : view.paused ? `${t("paused")} · ${view.waiting.length} ${t("waiting")}` : t("live")];
  if (view.leftOut) words.push(`${view.leftOut} ${t("left_out")}`);
  const text = words.join(" · ");
  if ($("status").textContent !== text) $("status").textContent = text;
}

function add(line) {
  if (view.paused) {
    view.waiting.push(line);
    if (view.waiting.length > MOST) view.waiting.shift();
    return say();
  }
  view.lines.push(line);
  if (view.lines.length > MOST) view.lines.shift();
  if (fits(line)) $("lines").prepend(lineRow(line));
  while ($("lines").childElementCount > MOST) $("lines").lastElementChild.remove();
}

async function follow() {
  const named = encodeURIComponent(boot.kiosk);
  const reply = await fetch(`/trace/api/lines?kiosk=${named}`);
  const found = await reply.json();
  view.one = found.kiosk;
  view.lines = found.lines;
  paint();
  const last = found.lines.at(-1)?.n ?? 0;
  const stream = new EventSource(`/trace/api/stream?kiosk=${named}&after=${last}`);
  stream.addEventListener("line", (event) => add(JSON.parse(event.data)));
  stream.addEventListener("left-out", (event) => { view.leftOut += JSON.parse(event.data).lines; say(); });
  stream.onopen = () => { view.broken = false; say(); };
  stream.onerror = () => { view.broken = true; say(); };
}

// ---- both ----

function paint() {
  document.documentElement.lang = view.lang === "zh" ? "zh-CN" : "en";
  document.title = `${t("title")} · ${boot.kiosk ?? boot.branch[view.lang]}`;
  $("branch").textContent = `${boot.library[view.lang]} ${boot.branch[view.lang]}`;
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = t(node.dataset.text);
  if ($("list")) paintList();
  if ($("one")) {
    $("pause").textContent = t(view.paused ? "resume" : "pause");
    $("about").replaceChildren(view.one ? dialect(view.one) : "");
    paintLines();
  }
}

$("lang").addEventListener("click", () => {
  view.lang = view.lang === "zh" ? "en" : "zh";
  localStorage.setItem("trace-lang", view.lang);
  paint();
});
if ($("list")) {
  refreshList();
  setInterval(refreshList, 3000);
}
if ($("one")) {
  $("pause").addEventListener("click", () => {
    view.paused = !view.paused;
    $("pause").setAttribute("aria-pressed", String(view.paused));
    if (!view.paused) {
      view.lines = [...view.lines, ...view.waiting].slice(-MOST);
      view.waiting = [];
    }
    paint();
  });
  $("tools").addEventListener("submit", (event) => event.preventDefault());
  $("filter").addEventListener("input", paintLines);
  $("odd").addEventListener("change", paintLines);
  follow();
}
paint();
