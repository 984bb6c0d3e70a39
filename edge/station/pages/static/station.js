// The staff station: paints what the edge says of the pad and sends what staff ask. Scan, Enter, next book: no mouse needed.

const boot = JSON.parse(document.getElementById("boot").textContent);
const $ = (id) => document.getElementById(id);
const view = { lang: localStorage.getItem("station-lang") === "en" ? "en" : "zh", pad: "", state: null, busy: false, source: null, chosen: "" };
const t = (key) => boot.texts[view.lang][key] ?? key;
const finding = (code) => boot.findings[view.lang][code] ?? code;
const FORMATS = ["28560-3", "28560-2", "3m", "28560-4", "gaoxiao"];

function el(tag, cls, text) {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  if (text !== undefined) node.textContent = text;
  return node;
}

function words() {
  document.documentElement.lang = view.lang === "zh" ? "zh-CN" : "en";
  document.title = `${t("title")} · ${boot.branch[view.lang]}`;
  $("branch").textContent = boot.branch[view.lang];
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = t(node.dataset.text);
  if (view.state) paint();
}

$("lang").onclick = () => {
  view.lang = view.lang === "zh" ? "en" : "zh";
  localStorage.setItem("station-lang", view.lang);
  words();
};

// ---- talking to the edge ----

async function call(path, body) {
  const reply = await fetch(`/station/api/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...body, lang: view.lang }),
  });
  const data = await reply.json();
  if (!reply.ok) throw Object.assign(new Error(data.code), data);
  return data;
}

function say(text, good) {
  $("said").textContent = text;
  $("said").className = good ? "ok" : "no";
}

async function work(job) {
  if (view.busy) return;
  view.busy = true;
  try {
    await job();
  } catch (error) {
    if (error.message === "TOKEN_NEEDED") location.href = "/station/sign-in";
    const other = error.other ? ` (${error.other.join(":")})` : "";
    say((error.text || t("broken")) + other + (error.why ? ` – ${error.why}` : ""), false);
  } finally {
    view.busy = false;
  }
}

function follow() {
  view.source?.close();
  view.source = new EventSource(`/station/api/stream?pad=${encodeURIComponent(view.pad)}`);
  view.source.addEventListener("state", (event) => {
    $("broken").hidden = true;
    view.state = JSON.parse(event.data);
    view.pad = view.state.pad ?? "";
    paint();
  });
  view.source.onerror = () => { $("broken").hidden = false; };
}

// ---- painting ----

function options(select, rows, chosen) {
  const have = [...select.options].map((option) => `${option.value}|${option.textContent}`).join();
  if (have !== rows.map((row) => row.join("|")).join()) {
    select.replaceChildren(...rows.map(([value, text]) => Object.assign(el("option", "", text), { value })));
  }
  select.value = chosen;
}

function button(text, press) {
  const node = el("button", "", text);
  node.type = "button";
  node.onclick = () => work(press);
  return node;
}

function security(tag) {
  const now = tag.secured === null ? t("unclear") : t(tag.secured ? "secured" : "unsecured");
  const td = el("td", "", now);
  td.append(el("small", "", [tag.afi && `AFI ${tag.afi}`, tag.eas !== null && `EAS ${tag.eas ? 1 : 0}`].filter(Boolean).join(" · ")));
  return td;
}

function owner(tag) {
  const td = el("td", "", tag.owner_name ? tag.owner_name[view.lang] : "–");
  if (tag.owner_written) td.append(el("small", "", `${t("as_written")} ${tag.owner_written}`));
  return td;
}

function convert(tag, format) {
  const ask = async (confirmed) => {
    try {
      await call("convert", { pad: view.pad, uid: tag.uid, format, confirmed });
      say(t("done"), true);
    } catch (error) {
      if (error.code !== "LOST_FIELDS" || confirmed.length) throw error;
      if (confirm(`${t("confirm_lost")}\n${error.lost.join(", ")}`)) await ask(error.lost);
    }
  };
  return ask([]);
}

function choose(tag) {
  const node = el("button", "", t("choose"));
  node.type = "button";
  node.setAttribute("aria-pressed", String(view.chosen === tag.uid));
  node.onclick = () => {
    view.chosen = view.chosen === tag.uid ? "" : tag.uid;
    $("item").focus();
    paint();
  };
  return node;
}

function actions(tag) {
  const td = el("td");
  if (view.state.tags.length > 1) td.append(choose(tag));
  if (tag.code === "ASK_OWNER") {
    const select = el("select");
    select.setAttribute("aria-label", t("choose_owner"));
    select.append(el("option", "", t("choose_owner")));
    for (const library of view.state.libraries) select.append(Object.assign(el("option", "", library[view.lang]), { value: library.org }));
    select.options[0].value = "";
    select.onchange = () => select.value && work(() => call("owner", { pad: view.pad, uid: tag.uid, owner: select.value }));
    td.append(select);
  }
  const uhf = tag.tech === "UHF";
  if (tag.owner && tag.format) {
    for (const format of FORMATS.filter((name) => name !== tag.format && (name === "28560-4" || name === "gaoxiao") === uhf)) {
      td.append(button(`${t("convert")} ${format}`, () => convert(tag, format)));
    }
  }
  return td;
}

function row(tag) {
  const tr = el("tr"), kind = el("td", "", finding(tag.code)), title = el("td", "", tag.title ?? "");
  if (tag.code === "READER_CARD") {
    tr.append(kind, title, el("td"), el("td"), el("td"), el("td"));
    return tr;
  }
  kind.append(el("small", "", [tag.tech, tag.format].filter(Boolean).join(" · ")));
  const parts = tag.parts > 1 ? ` · ${tag.part}/${tag.parts}` : "";
  title.append(el("small", "", `${tag.item_no}${parts}`));
  const found = el("td", "no", tag.findings.map(finding).join("; "));
  if (tag.chip_item) found.append(el("small", "", tag.chip_item.join(":")));
  if (tag.divergences.length) found.append(el("small", "", tag.divergences.join(", ")));
  tr.append(kind, title, owner(tag), security(tag), found, actions(tag));
  return tr;
}

const named = (row) => (row.item_no ? `${row.title || ""} ${row.owner}:${row.item_no}` : "");
const clock = (at) => new Date(at).toLocaleTimeString(view.lang === "zh" ? "zh-CN" : "en");

function drop(name, box) {
  const part = el("section"), head = el("div", "heading");
  head.append(el("h2", "", `${t("drop")} ${name} · ${t("taken")} ${box.taken}`));
  head.append(button(t("empty_drop"), () => call("empty-drop", { pad: name })));
  const list = el("ul");
  for (const [dest, n] of Object.entries(box.by_dest)) list.append(el("li", "", `${t("dest")} ${dest || "–"}: ${n}`));
  for (const [code, n] of Object.entries(box.exceptions)) list.append(el("li", "no", `${t("exception")} ${finding(code)}: ${n}`));
  for (const each of box.rows.filter((one) => one.exception).slice(-20)) {
    list.append(el("li", "", `${clock(each.at)} ${named(each)} ${finding(each.exception)}`));
  }
  part.append(head, list);
  return part;
}

function paint() {
  const state = view.state;
  if (!state.tags.some((tag) => tag.uid === view.chosen)) view.chosen = "";
  options($("pad"), state.pads.map((pad) => [pad.id, pad.id]), view.pad);
  options($("format"), [["", t("site_format")], ...FORMATS.map((name) => [name, name])], $("format").value);
  $("offline").hidden = state.online;
  if (!$("tags").contains(document.activeElement)) $("tags").replaceChildren(...state.tags.map(row));
  $("empty").hidden = state.tags.length > 0;
  $("waiting-part").hidden = state.waiting.length === 0;
  $("waiting").replaceChildren(...state.waiting.map((each) => {
    const parts = each.parts.length && each.parts.join() !== "1" ? ` · ${t("part")} ${each.parts.join(", ")}` : "";
    return el("li", "", `${clock(each.since)} ${named(each)}${parts} · ${each.reason}`);
  }));
  $("notes-part").hidden = state.notes.length === 0;
  $("notes").replaceChildren(...state.notes.map((note) => {
    const li = el("li", "", `${clock(note.at)} ${finding(note.code)} ${named(note)} ${note.detail} `);
    li.append(button(t("seen"), () => call("seen", { id: note.id })));
    return li;
  }));
  $("drops").replaceChildren(...Object.entries(state.drops).map(([name, box]) => drop(name, box)));
}

// ---- what staff do ----

if ($("encode")) {
  $("pad").onchange = () => { view.pad = $("pad").value; follow(); };
  $("encode").onsubmit = (event) => {
    event.preventDefault();
    const body = {
      pad: view.pad, uid: view.chosen, item: $("item").value, format: $("format").value || null, parts: Number($("parts").value),
      part: Number($("part").value), replace: $("replace").checked, new: $("new").checked,
    };
    work(async () => {
      const done = await call("encode", body);
      say(`${t("done")}: ${named(done)}`, true);
      view.chosen = "";
      $("item").value = "";
      $("replace").checked = false;
    }).finally(() => { $("item").focus(); $("item").select(); });
  };
  $("repair").onclick = () => work(async () => {
    const { items } = await call("repair", { pad: view.pad });
    const left = items.filter((item) => item.done === null).length, failed = items.filter((item) => item.done === false).length;
    say(`${t("repaired")} ${items.length - left - failed}${left ? ` · ${t("skipped")} ${left}` : ""}`, failed === 0);
    $("item").focus();
  });
  follow();
}
words();
