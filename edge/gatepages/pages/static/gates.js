// The gate page: paint what the edge says, press what it offers. One EventSource a tab.

const boot = JSON.parse(document.getElementById("boot").textContent);
const $ = (id) => document.getElementById(id);
const view = { lang: localStorage.getItem("gate-lang") === "en" ? "en" : "zh", state: null, told: "", pressing: new Set() };
const t = (key) => boot.texts[view.lang][key] ?? key;
const SIDE = ["tailgated", "unopened", "not_taken", "missing_min"];

function el(tag, cls, text) {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  if (text !== undefined) node.textContent = text;
  return node;
}

const clock = (ms) => new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium" }).format(new Date(ms));

function noteRow(note) {
  const tr = el("tr", note.level), item = el("td"), gate = el("td", "", note.device);
  if (note.item_no) {
    item.append(el("span", "title", note.title || t("untitled")));
    item.append(el("small", "", `${note.owner_name?.[view.lang] ?? note.owner} · ${note.item_no}`));
  }
  const more = [];
  if (note.antenna) more.push(`${t("antenna")} ${note.antenna}`);
  if (note.sounded !== null) more.push(t(note.sounded ? "sounded" : "silent"));
  if (more.length) gate.append(el("small", "", more.join(" · ")));
  tr.append(el("td", "", clock(note.at)), el("td", "what", boot.codes[view.lang][note.code] ?? note.code), item, gate);
  return tr;
}

function deviceRow(device) {
  const tr = el("tr"), name = el("th", "", device.id), counts = el("td"), health = el("td"), actions = el("td");
  name.scope = "row";
  const state = el("td");
  state.append(el("span", `state ${device.state}`, t(device.state)), el("small", "", device.reason_code === "OK" ? device.kind : `${device.kind} · ${device.reason_code}`));
  if (device.counts) {
    counts.append(`${t("came")} ${device.counts.came} · ${t("left")} ${device.counts.left}`);
    if (device.counts.drift !== null) counts.append(el("small", "", `${t("drift")} ${device.counts.drift}`));
    for (const key of SIDE) if (device.counts[key]) counts.append(el("small", "", `${t(key)} ${device.counts[key]}`));
  }
  const words = Object.entries(device.health).slice(0, 8).map(([key, value]) => `${key} ${value}`);
  health.append(el("small", "", words.join(" · ")));
  for (const command of device.can) {
    const button = el("button", "", t(command));
    button.type = "button";
    button.dataset.press = `${device.id} ${command}`;
    button.disabled = view.pressing.has(button.dataset.press);
    button.addEventListener("click", () => press(device.id, command));
    actions.append(button);
  }
  tr.append(name, state, counts, health, actions);
  return tr;
}

async function press(device, command) {
  const key = `${device} ${command}`;
  view.pressing.add(key);
  paint();
  try {
    const reply = await fetch("/gate/api/press", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ device, command }),
    });
    const answer = await reply.json();
    view.told = `${device} · ${t(command)}: ${reply.ok ? t("done") : `${t("refused")} (${answer.code})`}`;
  } catch {
    view.told = t("broken");
  }
  view.pressing.delete(key);
  paint();
}

function paint() {
  document.documentElement.lang = view.lang === "en" ? "en" : "zh-CN";
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = t(node.dataset.text);
  $("branch").textContent = boot.branch[view.lang];
  document.title = `${t("title")} · ${boot.branch[view.lang]}`;
  if (!$("devices") || !view.state) return;
  $("status").textContent = view.told;
  $("notes").replaceChildren(...view.state.notes.map(noteRow));
  $("no-notes").hidden = view.state.notes.length > 0;
  const focused = document.activeElement?.dataset?.press;
  $("devices").replaceChildren(...view.state.devices.map(deviceRow));
  if (focused) document.querySelector(`[data-press="${CSS.escape(focused)}"]`)?.focus();
}

$("lang").addEventListener("click", () => {
  view.lang = view.lang === "zh" ? "en" : "zh";
  localStorage.setItem("gate-lang", view.lang);
  paint();
});
paint();

if ($("devices")) {
  const source = new EventSource("/gate/api/stream");
  source.addEventListener("state", (message) => { view.state = JSON.parse(message.data); paint(); });
  source.addEventListener("open", () => { if (view.told === t("broken")) { view.told = t("live"); paint(); } });
  source.addEventListener("error", () => { view.told = t("broken"); $("status").textContent = view.told; });
}
