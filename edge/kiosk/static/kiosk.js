// The kiosk page. It paints what the edge decided and sends what a finger pressed; it decides nothing itself.

const boot = JSON.parse(document.getElementById("boot").textContent);
const $ = (id) => document.getElementById(id);
const IDLE_MS = boot.idle_s * 1000, WARN_MS = boot.warn_s * 1000;
const view = { lang: boot.lang, screen: "home", mode: "borrow", session: null, reader: null, pad: [], results: [], busy: false, shown: null };
const t = (key) => boot.texts[view.lang][key] ?? key;

// ---- talking to the edge ----

async function call(path, body) {
  const reply = await fetch(`/kiosk/api/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...body, lang: view.lang }),
  });
  const data = await reply.json();
  if (!reply.ok) throw Object.assign(new Error(data.code), data);
  return data;
}

async function work(screenRefusal, job) {
  if (view.busy) return;
  view.busy = true;
  $("veil").hidden = false;
  try {
    await job();
  } catch (error) {
    if (error.code === "SESSION_ENDED") return home();
    $(screenRefusal).textContent = error.text ?? t("no_answer");
  } finally {
    view.busy = false;
    $("veil").hidden = true;
  }
}

const stream = new EventSource("/kiosk/api/stream");
stream.addEventListener("state", (event) => {
  const state = JSON.parse(event.data);
  view.pad = state.items;
  $("offline").hidden = state.online;
  $("pad-offline").hidden = state.pad === "online";
  $("put-back").hidden = state.put_back.length === 0;
  $("put-back-items").replaceChildren(...state.put_back.map((item) => el("li", "", item.title || item.item_no)));
  if (view.screen === "stack") { alive(); judge(); }
  // What was shown before this page looked, or while it was busy, was for somebody else.
  if (state.shown && view.heard !== undefined && state.shown !== view.heard) shown(state.shown);
  view.heard = state.shown;
});
stream.onerror = () => { $("offline").hidden = false; };

// ---- painting ----

function el(tag, cls, text) {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  if (text !== undefined) node.textContent = text;
  return node;
}

// A tag that is no item of the consortium is shown as what it is.
const NO_ITEM = {
  BLANK: () => t("blank"), DAMAGED: () => t("damaged"), ASK_OWNER: () => t("ask_owner"), SHELF_LABEL: () => t("shelf_label"),
  EQUIPMENT: () => t("equipment"),
};

function parts(item) {
  if (!item.parts) return "";
  return ` · ${t("parts")} ${item.parts_here} ${t("of_parts")} ${item.parts} ${t("parts_unit")}`;
}

function row(item, mood, verdict, more) {
  const li = el("li", mood);
  li.append(el("span", "name", item.owner ? item.title || t("unknown_title") : (NO_ITEM[item.code]?.() ?? t("foreign"))));
  li.append(el("span", "verdict", verdict));
  li.append(el("span", "more", more + parts(item)));
  return li;
}

function show(screen) {
  view.screen = screen;
  document.body.dataset.screen = screen;
  for (const node of document.querySelectorAll(".screen")) node.hidden = node.id !== screen;
  $("stack-refusal").textContent = "";
  alive();
}

function words() {
  document.documentElement.lang = view.lang === "zh" ? "zh-CN" : "en";
  document.title = `${t("title")} · ${boot.branch[view.lang]}`;
  $("library").textContent = boot.library[view.lang];
  $("branch").textContent = boot.branch[view.lang];
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = t(node.dataset.text);
  keys(false);
  if (view.screen === "stack") { paintReader(); judge(); }
  if (view.screen === "result") paintResults();
}

function paintReader() {
  const reader = view.mode === "borrow" ? view.reader : null;
  $("who").textContent = reader ? `${t("home_library")} ${reader.home_name[view.lang]} · ${t("loans")} ${reader.loans}` : "";
  $("act").textContent = t(view.mode === "borrow" ? "borrow_now" : "return_now");
}

let asked = 0;
async function judge() {
  const turn = ++asked;
  let items = view.pad;
  if (view.mode === "borrow" && items.length) {
    try { items = (await call("preview", { session: view.session })).items; } catch (error) {
      if (error.code === "SESSION_ENDED") return home();
      return;
    }
  }
  if (turn !== asked || view.screen !== "stack") return;
  $("items").replaceChildren(...items.map((item) => row(item, ...mood(item))));
  $("empty").hidden = items.length > 0;
  const n = items.filter((item) => item.owner).length;
  $("stack-count").textContent = items.length ? `${n} ${t(n === 1 ? "count_one" : "count")}` : "";
  $("act").disabled = n === 0;
}

function mood(item) {
  if (!item.owner) return ["foreign", "", item.uid ?? ""];
  const more = item.owner_name[view.lang];
  if (view.mode === "return") return ["", "", more];
  if (item.outcome === "ALLOW") return ["ok", t("can_borrow"), `${more} · ${t("due")} ${item.due}`];
  if (item.outcome === "ASK") return ["wait", t("ask_hub"), more];
  return ["no", item.text, more];
}

function paintResults() {
  const done = view.results.filter((item) => item.outcome === "ALLOW").length;
  const not = view.results.length - done;
  $("result-count").textContent = `✓ ${done}${not ? `   ✕ ${not}` : ""}`;
  $("results").replaceChildren(...view.results.map((item) => {
    const owner = item.owner_name?.[view.lang] ?? "";
    if (item.outcome !== "ALLOW") return row(item, "no", item.text, owner);
    const finished = view.mode === "borrow" ? item.unsecured : item.secured;
    if (!finished) return row(item, "wait", t("put_back"), owner);
    if (view.mode === "borrow") return row(item, "ok", t("borrowed_ok"), `${owner} · ${t("due")} ${item.due}`);
    const travels = item.dest_name && item.code === "RETURN_TRANSIT";
    return row(item, "ok", item.text, travels ? `${owner} · ${t("dest")} ${item.dest_name[view.lang]}` : owner);
  }));
}

// ---- what a finger does ----

function home() {
  if (view.session || view.shown) call("end", { session: view.session ?? "" }).catch(() => {});
  Object.assign(view, { session: null, reader: null, results: [] });
  $("sign-in").reset();
  pinFor(null);
  $("sign-in-refusal").textContent = "";
  $("idle").close();
  show("home");
}

function stack(mode) {
  view.mode = mode;
  show("stack");
  paintReader();
  judge();
}

$("go-borrow").onclick = () => { view.mode = "borrow"; show("identify"); $("number").focus(); };
$("go-return").onclick = () => stack("return");
$("leave").onclick = $("done").onclick = $("idle-out").onclick = home;
$("more").onclick = () => stack(view.mode);
for (const node of document.querySelectorAll("[data-go]")) node.onclick = home;
$("lang").onclick = () => { view.lang = view.lang === "zh" ? "en" : "zh"; words(); };

$("sign-in").onsubmit = (event) => {
  event.preventDefault();
  const who = view.shown ? { shown: view.shown } : { number: $("number").value };
  signIn({ ...who, pin: $("pin").value });
};

function signIn(who) {
  return work("sign-in-refusal", async () => {
    $("pin").value = "";
    $("sign-in-refusal").textContent = "";
    let answer;
    try { answer = await call("identify", who); } catch (error) {
      const more = who.shown && ["CARD_ASSURANCE_LOW", "PIN_WRONG"].includes(error.code);
      pinFor(more ? who.shown : null);
      if (more && !who.pin) return; // asked for, not refused
      throw error;
    }
    $("sign-in").reset();
    pinFor(null);
    Object.assign(view, { session: answer.session, reader: answer.reader });
    stack("borrow");
  });
}

// ---- a card or code shown to the kiosk's own devices: only a name comes here, never a number ----

function shown(name) {
  if (view.busy || (view.screen !== "home" && view.screen !== "identify")) return;
  if (view.screen === "home") {
    if (name.startsWith("code-")) return; // an item's, most likely
    view.mode = "borrow";
    show("identify");
  }
  alive();
  $("sign-in").reset(); // what is typed so far is somebody else's
  signIn({ shown: name, pin: "" });
}

function pinFor(name) {
  view.shown = name;
  $("number").required = !name;
  $("number-part").hidden = Boolean(name);
  $("shown-pin").hidden = !name;
  if (name) $("pin").focus();
}

$("act").onclick = () => work("stack-refusal", async () => {
  const answer = await call(view.mode, view.mode === "borrow" ? { session: view.session } : {});
  view.results = answer.items;
  offer(answer.receipt);
  if (view.reader && answer.reader) view.reader = answer.reader;
  paintResults();
  show("result");
});

// The loan or return is done, whatever the printer says.
function offer(receipt) {
  view.receipt = receipt ?? null;
  $("print").hidden = !view.receipt;
  $("print-note").textContent = "";
}

$("print").onclick = () => work("print-note", async () => {
  const answer = await call("print", { receipt: view.receipt });
  $("print-note").textContent = answer.text;
  $("print").hidden = answer.printed || answer.code === "NOTHING_TO_PRINT";
});

// ---- the keyboard on the screen ----

function keys(letters) {
  const pad = $("keys");
  pad.className = letters ? "keys letters" : "keys";
  const rows = letters ? [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ:-"] : [..."123456789"];
  const buttons = rows.map((text) => key(text, () => type(text)));
  buttons.push(key(t(letters ? "digits" : "letters"), () => keys(!letters), "small"));
  if (!letters) buttons.push(key("0", () => type("0")));
  buttons.push(key(t("erase"), () => type(null), "small"));
  pad.replaceChildren(...buttons);
}

function key(text, press, cls = "") {
  const button = el("button", cls, text);
  button.type = "button";
  button.onpointerdown = (event) => event.preventDefault(); // the field keeps the focus
  button.onclick = press;
  return button;
}

function type(text) {
  const field = view.shown || document.activeElement === $("pin") ? $("pin") : $("number");
  field.value = text === null ? field.value.slice(0, -1) : field.value + text;
  field.focus();
}

// ---- idle: warn, then sign out ----

let quiet, leaving;
function alive() {
  clearTimeout(quiet);
  clearTimeout(leaving);
  if ($("idle").open) $("idle").close();
  if (view.screen === "home") return;
  quiet = setTimeout(() => {
    $("idle").showModal();
    leaving = setTimeout(home, WARN_MS);
  }, view.screen === "result" ? Math.min(IDLE_MS, 20000) : IDLE_MS);
}
$("idle-stay").onclick = alive;
for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, alive);

function tick() {
  const now = new Date();
  $("clock").textContent = `${String(now.getHours()).padStart(2, "0")}:${String(now.getMinutes()).padStart(2, "0")}`;
}
tick();
setInterval(tick, 5000);
words();
$("show-hint").hidden = !boot.hears;
show("home");
call("end", {}).catch(() => {}); // whoever was here before this page is gone, and so is what they showed
