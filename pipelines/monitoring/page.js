"use strict";
// Shows status.json. Whatever comes from it goes into the document as text, and in no other way.

const TONES = {
  caught_up: "good", finished: "good", reading: "calm", starting: "calm", not_read: "none", stopped: "none",
  behind: "warn", waiting: "warn", refused: "bad", suspended: "bad", damaged: "bad",
};
const SEVERITY = Object.keys(TONES);
const NEEDY = new Set(["refused", "suspended", "damaged"]);
const WELL = new Set(["caught_up", "finished", "not_read"]);
const PAGE_ROWS = 50, POLL_MS = 2000, LONGEST_MS = 15000, SLOWER_BY_COST = 20, TIMEOUT_MS = 15000, SOON_DAYS = 21;
const ICONS = { good: "#1a7f4b", calm: "#0b63ce", warn: "#c77d00", bad: "#c5221f", none: "#6b7686" };

const by = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
let report = null, answeredAt = 0, trouble = "", page = 0, timer = 0;

// --- words and numbers ---

// A direction mark or a line break in a name would change what stands around it.
const visible = (text) => String(text).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) => `\\u${c.codePointAt(0).toString(16).padStart(4, "0")}`);
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const counted = (n, what) => `${number.format(n)} ${what}${n === 1 ? "" : "s"}`;
const rounded = (n) => (n < 9.95 ? String(Math.round(n * 10) / 10) : number.format(Math.round(n)));

function span(secs) {
  const s = Math.max(0, secs);
  if (s < 90) return `${Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return s < 129600 ? `${rounded(s / 3600)} h` : `${rounded(s / 86400)} days`;
}

const pace = (secs) => (secs < 9.95 ? `${rounded(secs)} s` : span(secs));

function bytes(n) {
  if (n < 1000) return `${n} B`;
  return n < 1e6 ? `${rounded(n / 1e3)} KB` : n < 1e9 ? `${rounded(n / 1e6)} MB` : `${rounded(n / 1e9)} GB`;
}

function moment(ms) {
  const at = new Date(ms);
  return Number.isNaN(at.getTime()) ? "an unknown time" : at.toISOString().slice(0, 19).replace("T", " ");
}

const clock = (ms) => (Math.abs(report.time_ms - ms) < 43200000 ? moment(ms).slice(11) : moment(ms));

// --- the document ---

function put(node, text) {
  const shown = visible(text);
  if (node.textContent !== shown) node.textContent = shown;
}

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = visible(text);
  return node;
}

function toned(node, tone) {
  if (node.dataset.tone !== tone) node.dataset.tone = tone;
  return node;
}

// Gives a list one child per item, keeping those that are there: what has the focus, or is open, stays so.
function fill(parent, items, keyOf, create, update) {
  const known = parent.known || (parent.known = new Map());
  const keys = new Set(items.map(keyOf));
  for (const [key, node] of known) if (!keys.has(key)) { node.remove(); known.delete(key); }
  items.forEach((item, i) => {
    const key = keyOf(item);
    let node = known.get(key);
    if (!node) known.set(key, node = create(item));
    update(node, item);
    if (parent.children[i] !== node) parent.insertBefore(node, parent.children[i] || null);
  });
}

// --- the verdict ---

function showVerdict() {
  const tone = trouble ? "bad" : TONES[report.state] || "none";
  const words = trouble || report.words, colon = words.indexOf(": ");
  const headline = capital(colon < 0 ? words : words.slice(0, colon));
  put(by("headline"), headline);
  put(by("detail"), colon < 0 ? "" : words.slice(colon + 2));
  const todo = trouble ? "Look whether it runs: duologsync status, systemctl status duologsync." : report.todo;
  put(by("todo"), todo);
  by("todo").hidden = !todo;
  toned(by("verdict"), tone);
  document.title = `${headline} · Duo Log Sync`;
  by("icon").href = `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="${ICONS[tone]}"/></svg>`)}`;
  // Said aloud when the state changes, and not with each number.
  const state = trouble ? "no answer" : report.state;
  if (by("said").dataset.state !== state) {
    by("said").dataset.state = state;
    put(by("said"), words);
  }
}

function showSums() {
  const streams = report.streams;
  const rate = streams.reduce((sum, s) => sum + (s.rates.length ? s.rates[s.rates.length - 1] : 0), 0);
  const dead = report.dead_letters.reduce((sum, d) => sum + d.count, 0);
  const parts = [
    `${counted(streams.length, "stream")} to ${counted(report.destinations.length, "destination")}`,
    `${counted(streams.reduce((sum, s) => sum + s.delivered, 0), "event")} delivered`,
    `${rounded(rate)} a second now`,
    dead ? counted(dead, "dead letter") : "no dead letters",
  ];
  put(by("sums"), parts.join(" · "));
}

function showFreshness() {
  if (!report && !trouble) return;
  const ago = answeredAt ? `updated ${span((Date.now() - answeredAt) / 1000)} ago` : "never answered";
  put(by("freshness"), trouble && answeredAt ? `${ago}; what follows is from then` : ago);
}

// --- streams ---

const keyOf = (s) => JSON.stringify([s.account, s.log_type, s.destination]);
const nameOf = (s) => `${s.title || s.account} ${s.account}/${s.log_type} ${s.destination}`.toLowerCase();
const rateOf = (s) => (s.rates.length ? s.rates[s.rates.length - 1] : 0);
const ORDERS = {
  name: (a, b) => (nameOf(a) < nameOf(b) ? -1 : 1),
  state: (a, b) => SEVERITY.indexOf(b.state) - SEVERITY.indexOf(a.state) || (b.lag_secs || 0) - (a.lag_secs || 0) || ORDERS.name(a, b),
  position: (a, b) => (a.position_ms || 0) - (b.position_ms || 0) || ORDERS.name(a, b),
  rate: (a, b) => rateOf(b) - rateOf(a) || ORDERS.name(a, b),
  dead: (a, b) => b.dead_letters - a.dead_letters || ORDERS.name(a, b),
};

function chosen() {
  const which = new FormData(by("choice")).get("which"), text = by("find").value.trim().toLowerCase();
  const streams = report.streams.filter((s) =>
    (which === "all" || (which === "needy" ? NEEDY.has(s.state) : !WELL.has(s.state))) &&
    (!text || `${nameOf(s)} ${s.words.toLowerCase()}`.includes(text)));
  return streams.sort(ORDERS[by("order").value]);
}

function showStreams() {
  put(by("count-all"), number.format(report.streams.length));
  put(by("count-unwell"), number.format(report.streams.filter((s) => !WELL.has(s.state)).length));
  put(by("count-needy"), number.format(report.streams.filter((s) => NEEDY.has(s.state)).length));
  const streams = chosen(), last = Math.max(0, Math.ceil(streams.length / PAGE_ROWS) - 1);
  page = Math.min(page, last);
  fill(by("rows"), streams.slice(page * PAGE_ROWS, (page + 1) * PAGE_ROWS), keyOf, makeRow, updateRow);
  by("none").hidden = streams.length > 0;
  by("table").hidden = streams.length === 0;
  by("pager").hidden = last === 0;
  by("before").disabled = page === 0;
  by("next").disabled = page === last;
  put(by("pages"), `page ${page + 1} of ${last + 1}, ${counted(streams.length, "stream")}`);
  for (const th of document.querySelectorAll("th[data-order]")) {
    if (th.dataset.order === by("order").value) th.setAttribute("aria-sort", th.dataset.order === "name" || th.dataset.order === "position" ? "ascending" : "descending");
    else th.removeAttribute("aria-sort");
  }
}

function cell(row, name, label, className) {
  const td = make("td", className || `of-${name}`);
  if (label) td.dataset.label = label;
  const inner = row.parts[name] = make("div");
  td.append(inner);
  row.append(td);
  return inner;
}

function makeRow() {
  const row = make("tr");
  row.parts = {};
  const p = row.parts;
  const name = cell(row, "name");
  name.append(p.stream = make("div", "stream"), p.account = make("div", "soft"));
  const state = cell(row, "state");
  state.append(p.words = make("span", "state"), p.todo = make("div", "todo"), p.details = make("details"));
  p.details.append(make("summary", "", "More"), p.more = make("ul"));
  const position = cell(row, "position", "Delivered up to");
  position.append(p.upTo = make("div"), p.lag = make("div", "soft"));
  const rate = cell(row, "rate", "Events per second");
  rate.append(p.spark = spark(), p.now = make("div", "soft"));
  cell(row, "delivered", "Delivered", "number");
  cell(row, "dead", "Dead letters", "number");
  return row;
}

function updateRow(row, s) {
  const p = row.parts;
  put(p.stream, `${s.log_type} → ${s.destination}`);
  put(p.account, s.title ? `${s.title} (${s.account})` : s.account);
  put(p.words, capital(s.words));
  toned(p.words, TONES[s.state] || "none");
  put(p.todo, s.todo);
  p.todo.hidden = !s.todo;
  put(p.upTo, s.position_ms === null ? "nothing yet" : clock(s.position_ms));
  put(p.lag, s.lag_secs ? `${span(s.lag_secs)} behind` : "");
  updateSpark(p.spark, s.rates);
  put(p.now, s.rates.length ? `${rounded(rateOf(s))} now, ${rounded(Math.max(...s.rates))} at most` : "");
  put(p.delivered, number.format(s.delivered));
  put(p.dead, number.format(s.dead_letters));
  fill(p.more, more(s), (line) => line, (line) => make("li", "", line), () => {});
}

function more(s) {
  const lines = [];
  if (s.backlog_events) lines.push(`${counted(s.backlog_events, "event")} of the present window are not delivered`);
  if (s.safe_ms !== null) lines.push(`seen to be read by the destination up to ${clock(s.safe_ms)}`);
  if (s.committed_ms !== null) lines.push(`checkpoint written at ${clock(s.committed_ms)}`);
  if (s.oldest_undelivered_ms !== null) lines.push(`oldest event in hand is of ${clock(s.oldest_undelivered_ms)}`);
  if (s.filtered) lines.push(`${counted(s.filtered, "event")} filtered since the start`);
  if (s.rejected) lines.push(`${counted(s.rejected, "event")} rejected since the start`);
  for (const gap of s.missing) {
    const onward = gap.due_ms === null ? "given up" : `read again at ${clock(gap.due_ms)}`;
    lines.push(`${counted(gap.events, "event")} missing from ${moment(gap.from_ms)} to ${moment(gap.to_ms)}, ${onward}`);
  }
  return lines.length ? lines : ["nothing more is known yet"];
}

function spark() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", "0 0 60 20");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const base = document.createElementNS(svg.namespaceURI, "line");
  for (const [name, value] of [["x1", 0], ["x2", 60], ["y1", 20], ["y2", 20]]) base.setAttribute(name, value);
  svg.append(base, document.createElementNS(svg.namespaceURI, "path"));
  return svg;
}

function updateSpark(svg, rates) {
  const most = Math.max(...rates, 1e-9), first = 60 - rates.length;
  const points = rates.map((rate, i) => `${first + i + 0.5},${(19 - (18 * rate) / most).toFixed(1)}`);
  if (points.length === 1) points.unshift(`${first - 0.5},${points[0].split(",")[1]}`);
  svg.lastChild.setAttribute("d", points.length ? `M${points.join("L")}` : "");
  svg.setAttribute("aria-label", rates.length ? `${rounded(rateOf({ rates }))} events a second now, at most ${rounded(most)} in the last ${counted(rates.length, "minute")}` : "no rate yet");
}

// --- the rest ---

function showDestinations() {
  fill(by("destinations"), report.destinations, (d) => d.name, () => {
    const item = make("li"), p = item.parts = {};
    const title = make("div", "title");
    title.append(p.name = make("span"), p.state = make("span", "state"));
    item.append(title, p.place = make("div", "soft"), p.cause = make("div", "cause"), p.facts = make("div", "soft"));
    return item;
  }, (item, d) => {
    const p = item.parts;
    put(p.name, d.name);
    put(p.state, d.usable === null ? "not tried yet" : d.usable ? "usable" : "not usable");
    toned(p.state, d.usable === null ? "none" : d.usable ? "good" : "warn");
    put(p.place, `${d.kind} · ${d.place}`);
    put(p.cause, d.cause ? `${capital(d.cause)}${d.since_ms ? `, since ${clock(d.since_ms)}` : ""}` : "");
    const facts = [counted(d.connections, "connection")];
    if (d.held_bytes) facts.push(`${bytes(d.held_bytes)} kept until it must have been read`);
    for (const [what, ms] of [["its certificate", d.certificate_expires_ms], ["our certificate", d.client_certificate_expires_ms]]) {
      if (ms === null) continue;
      const secs = (ms - report.time_ms) / 1000;
      facts.push(secs < 0 ? `${what} has expired` : `${what} expires in ${span(secs)}`);
      if (secs < SOON_DAYS * 86400) toned(p.state, "warn");
    }
    put(p.facts, facts.join(" · "));
  });
}

function showLetters() {
  by("letters-section").hidden = !report.dead_letters.length;
  showLines(by("letters"), report.dead_letters.map((d) => [
    `${d.reason}: ${number.format(d.count)}`,
    [d.account && d.log_type ? `${d.account}/${d.log_type}` : d.log_type, d.destination].filter(Boolean).join(" → "),
  ]));
}

function showBudgets() {
  showLines(by("budgets"), report.budgets.slice(0, 200).map((b) => [
    `${b.account}/${b.log_type}`,
    [b.limit_secs ? `one call in ${pace(b.interval_secs)} (limit: one in ${pace(b.limit_secs)})` : "no limit met",
      counted(b.calls, "call"), `${number.format(b.refused)} refused by Duo’s limit`,
      b.waits_secs >= 1 ? `next in ${span(b.waits_secs)}` : ""].filter(Boolean).join(" · "),
  ]));
}

function showLines(list, lines) {
  const seen = new Map();
  const items = lines.map((line) => { const n = (seen.get(line[0] + line[1]) || 0) + 1; seen.set(line[0] + line[1], n); return line; });
  fill(list, items, (line, i) => JSON.stringify(line[0]) + items.indexOf(line), () => {
    const item = make("li");
    item.append(make("span"), make("span", "soft"));
    return item;
  }, (item, [left, right]) => { put(item.firstChild, left); put(item.lastChild, right); });
}

function showLog() {
  const only = by("warnings").checked;
  const lines = report.log.filter((line) => !only || (line.level !== "INFO" && line.level !== "DEBUG")).reverse();
  const times = new Map();
  for (const line of lines.slice().reverse()) {
    const key = `${line.time_ms} ${line.message}`;
    times.set(key, (times.get(key) || 0) + 1);
    line.key = `${key} ${times.get(key)}`;
  }
  fill(by("log"), lines, (line) => line.key, (line) => {
    const item = make("li");
    const level = toned(make("span", "level", line.level), { WARNING: "warn", ERROR: "bad", CRITICAL: "bad" }[line.level] || "none");
    item.append(make("span", "soft", clock(line.time_ms)), level, make("span", "message", line.code ? `${line.code} ${line.message}` : line.message));
    return item;
  }, () => {});
}

function showProcess() {
  const p = report.process;
  if (!p) return;
  const facts = [
    ["Version", p.version], ["Process", String(p.pid)], ["Started", moment(p.started_ms)],
    ["Runs for", span((report.time_ms - p.started_ms) / 1000)], ["Memory", bytes(p.memory_bytes)],
    ["Threads", String(p.threads)], ["CPU", span(p.cpu_secs)], ["Ready", report.ready ? "yes" : `no: ${report.not_ready.join("; ")}`],
  ];
  fill(by("process"), facts, (fact) => fact[0], () => {
    const item = make("div");
    item.append(make("dt"), make("dd"));
    return item;
  }, (item, [what, value]) => { put(item.firstChild, what); put(item.lastChild, value); });
}

function show() {
  if (report || trouble) showVerdict();
  showFreshness();
  if (!report) return;
  showSums(); showDestinations(); showStreams(); showLetters(); showBudgets(); showLog(); showProcess();
}

// --- asking ---

async function ask() {
  clearTimeout(timer);
  const began = performance.now();
  try {
    const answer = await fetch("status.json", { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!answer.ok) throw new Error(`it answers with status ${answer.status}`);
    const fresh = await answer.json();
    if (!Array.isArray(fresh.streams) || !Array.isArray(fresh.destinations)) throw new Error("what it says is no report");
    report = fresh;
    answeredAt = Date.now();
    trouble = "";
  } catch (error) {
    trouble = `the program does not answer: ${error.name === "Error" ? error.message : "it has ended, or cannot be reached from here"}`;
  }
  try { show(); } catch (error) { console.error(error); }  // of a release that says something else: it is asked again
  // Of thousands of streams an answer is large: it is asked for less often, and not at all where nobody looks.
  const pause = Math.min(LONGEST_MS, Math.max(POLL_MS, SLOWER_BY_COST * (performance.now() - began)));
  if (!document.hidden) timer = setTimeout(ask, trouble ? POLL_MS : pause);
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
by("choice").addEventListener("submit", (event) => event.preventDefault());
by("choice").addEventListener("input", () => { page = 0; if (report) showStreams(); });
by("warnings").addEventListener("change", () => { if (report) showLog(); });
by("before").addEventListener("click", () => { page -= 1; showStreams(); });
by("next").addEventListener("click", () => { page += 1; showStreams(); });
for (const th of document.querySelectorAll("th[data-order]")) {
  th.firstChild.addEventListener("click", () => { by("order").value = th.dataset.order; page = 0; if (report) showStreams(); });
}
setInterval(showFreshness, 1000);
ask();
