// The page of a run: rows, filters and sound, from files beside it or from `narrate review`. No text is ever put in as markup.
"use strict";

const ROWS_A_PAGE = 200;
const ROWS_A_FILE = 200;
const KEPT_ROWS = 2000;

const narrated = { waiting: new Map() };

// --- where rows come from -------------------------------------------------------------------------------------------

const files = {
  index: () => script("data/index.js", "index"),
  async rows(numbers) {
    const wanted = [...new Set(numbers.map((n) => Math.floor(n / ROWS_A_FILE)))];
    const loaded = await Promise.all(wanted.map((n) => script(`data/rows-${String(n).padStart(5, "0")}.js`, `rows ${n}`)));
    const byFile = new Map(wanted.map((n, at) => [n, loaded[at]]));
    return numbers.map((n) => byFile.get(Math.floor(n / ROWS_A_FILE))[n % ROWS_A_FILE]);
  },
};

const server = {
  index: () => answer("data/index.json"),
  rows: (numbers) => answer(`data/rows.json?n=${numbers.join(",")}`),
};

async function answer(address, options) {
  const response = await fetch(address, options);
  if (!response.ok) throw Object.assign(new Error(`${response.status}`), { response });
  return response.json();
}

// A page opened from a disk may not fetch, but may load scripts: each file calls `narrated.take` with its name and data.
function script(address, name) {
  return new Promise((resolve, reject) => {
    const element = document.createElement("script");
    narrated.waiting.set(name, (data) => { element.remove(); resolve(data); });
    element.onerror = () => reject(new Error(`${address} is missing: copy the whole folder`));
    element.src = address;
    document.head.append(element);
  });
}
narrated.take = (name, data) => { narrated.waiting.get(name)?.(data); narrated.waiting.delete(name); };

const mode = document.querySelector("meta[name=narrate-mode]").content;
const source = mode === "review" ? server : files;

// --- state ----------------------------------------------------------------------------------------------------------

const page = { index: null, order: [], at: 0, kept: new Map(), current: -1 };

async function rowsOf(numbers) {
  const missing = numbers.filter((n) => !page.kept.has(n));
  if (missing.length) {
    const rows = await source.rows(missing);
    missing.forEach((n, at) => page.kept.set(n, rows[at]));
  }
  const rows = numbers.map((n) => page.kept.get(n));
  for (const n of page.kept.keys()) {
    if (page.kept.size <= KEPT_ROWS) break;
    if (!numbers.includes(n)) page.kept.delete(n);
  }
  return rows;
}

// --- small helpers --------------------------------------------------------------------------------------------------

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

const find = (selector) => document.querySelector(selector);
const percent = (value) => (value === null || value < 0 ? "unknown" : `${Math.round(value)} %`);
const counted = (count, one, many) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
const place = (path) => path.split("/").map(encodeURIComponent).join("/");

// --- top of the page ------------------------------------------------------------------------------------------------

const STATUS_WORDS = { described: "described", decorative: "decorative", refused: "refused", failed: "failed" };
const REVIEW_WORDS = { "": "not reviewed", approved: "approved", edited: "edited", rejected: "rejected" };

function showTop() {
  const { index } = page;
  find("#about").textContent = index.about;
  const numbers = [["photos", index.names.length]];
  index.statuses.forEach((name, code) => numbers.push([STATUS_WORDS[name] ?? name, count(index.status, code)]));
  numbers.push(["flagged", index.flags.filter((set) => set > 0).length]);
  const reviewed = index.review.filter((code) => index.reviews[code] !== "").length;
  if (reviewed || mode === "review") numbers.push(["reviewed", reviewed]);
  find("#counts").replaceChildren(
    ...numbers.filter(([, n], at) => at === 0 || n || mode === "review").map(([name, n]) => make("div", {}, make("dt", {}, name), make("dd", {}, n.toLocaleString("en")))),
  );
  showHistogram(index.confidence.filter((value) => value >= 0));
}

const count = (column, code) => column.reduce((sum, value) => sum + (value === code), 0);

function showHistogram(values) {
  if (!values.length) return;
  const bins = Array(10).fill(0);
  for (const value of values) bins[Math.min(9, Math.floor(value / 10))] += 1;
  const highest = Math.max(...bins);
  const bars = bins.map((n) => make("span", {}));
  bars.forEach((bar, at) => { bar.style.height = `${(100 * bins[at]) / highest}%`; });
  const told = bins.map((n, at) => `${at * 10} to ${at * 10 + 10} percent: ${n}`).join("; ");
  const box = find("#histogram .bars");
  box.replaceChildren(...bars);
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", told);
  find("#histogram").hidden = false;
}

// --- filters --------------------------------------------------------------------------------------------------------

const filters = find("#filters");

function fillFilters() {
  const { index } = page;
  const option = (value, text) => make("option", { value }, text ?? value);
  index.statuses.forEach((name, code) => filters.status.append(option(String(code), STATUS_WORDS[name] ?? name)));
  index.reviews.forEach((name, code) => filters.review.append(option(String(code), REVIEW_WORDS[name] ?? name)));
  const rules = [...new Set(index.flagSets.flat())].sort();
  rules.forEach((rule) => filters.flag.append(option(rule, rule)));
  if (mode === "review") filters.sort.value = "doubt";
}

function keeps() {
  const { index } = page;
  const name = filters.query.value.trim().toLowerCase();
  const [status, review] = [filters.status.value, filters.review.value].map((value) => (value === "" ? -1 : Number(value)));
  const flag = filters.flag.value;
  const sets = index.flagSets.map((set) => (flag === "*" ? set.length > 0 : flag === "-" ? set.length === 0 : flag === "" || set.includes(flag)));
  const range = filters.confidence.value;
  const [low, high] = range.includes("-") ? range.split("-").map(Number) : range === "none" ? [-1, 0] : [-1, 102];
  return (n) =>
    (status < 0 || index.status[n] === status) && (review < 0 || index.review[n] === review) && sets[index.flags[n]] &&
    index.confidence[n] >= low && index.confidence[n] < high && (name === "" || index.names[n].toLowerCase().includes(name));
}

// Least certain first: what nobody has reviewed before what somebody has, then by confidence, then by log-probability.
function sorter() {
  const { index } = page;
  const open = (n) => Number(index.reviews[index.review[n]] !== "");
  const collator = new Intl.Collator("en", { numeric: true });
  return {
    place: null,
    name: (a, b) => collator.compare(index.names[a], index.names[b]),
    doubt: (a, b) => open(a) - open(b) || index.certainty[a] - index.certainty[b] || a - b,
    sure: (a, b) => index.certainty[b] - index.certainty[a] || a - b,
    status: (a, b) => index.status[b] - index.status[a] || a - b,
  }[filters.sort.value];
}

function order() {
  const all = Array.from(page.index.names.keys()).filter(keeps());
  const by = sorter();
  page.order = by ? all.sort(by) : all;
}

async function show(at = 0) {
  const pages = Math.max(1, Math.ceil(page.order.length / ROWS_A_PAGE));
  page.at = Math.min(Math.max(at, 0), pages - 1);
  const numbers = page.order.slice(page.at * ROWS_A_PAGE, (page.at + 1) * ROWS_A_PAGE);
  const shown = `${counted(page.order.length, "photo", "photos")}, page ${page.at + 1} of ${pages}`;
  let rows;
  try {
    rows = await rowsOf(numbers);
  } catch (error) {
    find("#shown").textContent = `The rows cannot be read (${error.message}).`;
    return;
  }
  find("#photos").replaceChildren(...rows.map((row, k) => card(row, numbers[k])));
  find("#shown").textContent = shown;
  page.sorted = filters.sort.value;
  showPages(pages);
}

function showPages(pages) {
  const steps = [["First", 0], ["Previous", page.at - 1], ["Next", page.at + 1], ["Last", pages - 1]];
  const buttons = steps.map(([name, to]) => {
    const button = make("button", { type: "button", disabled: to < 0 || to >= pages || to === page.at }, name);
    button.addEventListener("click", async () => { await show(to); find("#photos").focus(); find("#photos").scrollIntoView(); });
    return button;
  });
  find("#pages").replaceChildren(...(pages > 1 ? buttons : []));
}

// --- a row ----------------------------------------------------------------------------------------------------------

function card(row, n) {
  const title = make("h3", { id: `name-${n}` }, row.id);
  const text = row.alt_text
    ? make("p", { class: "alt", lang: row.language ?? "en" }, row.alt_text)
    : make("p", { class: "alt" }, row.status === "decorative" ? "Decorative: it is skipped by screen readers." : row.message ?? "No description.");
  const body = make("div", {}, title, text, facts(row), reasons(row), words(row, n));
  const article = make("article", { class: "row", "aria-labelledby": `name-${n}` }, picture(row), body, make("div", { class: "sound" }, sound(row)));
  article.dataset.number = n;
  if (mode === "review") body.append(reviewButton(n));
  return make("li", {}, article);
}

function picture(row) {
  const box = make("div", { class: "picture" });
  const none = () => box.replaceChildren(make("span", { class: "none" }, "no picture"));
  if (!row.thumbnail) { none(); return box; }
  const image = make("img", { src: row.thumbnail, alt: "", loading: "lazy", decoding: "async" });
  if (row.width_px) { image.width = row.width_px; image.height = row.height_px; }
  image.addEventListener("error", none);
  box.append(image);
  return box;
}

function sound(row) {
  if (!row.audio_path) return null;
  const player = make("audio", { controls: true, preload: "none", src: `../${place(row.audio_path)}`, "aria-label": `Clip of ${row.id}` });
  return make("div", {}, player, make("p", { class: "soft length" }, `${row.duration_s.toFixed(1)} s, ${row.voice}`));
}

function facts(row) {
  const list = make("ul", { class: "facts", "aria-label": `Facts about ${row.id}` });
  const add = (text, kind = "") => list.append(make("li", { class: kind }, text));
  if (row.status !== "described") add(row.reason ? `${row.status}: ${row.reason}` : row.status, row.status === "decorative" ? "" : "bad");
  if (row.review) add(`${row.review} by ${row.reviewed_by}`, row.review === "rejected" ? "bad" : "good");
  if (row.confidence !== null) add(`confidence ${percent(row.confidence * 100)}`);
  add(row.written_by, row.by_model ? "" : "note");
  if (row.pending) add("spoken anew at the next run", "note");
  for (const flag of row.alt_flags) add(flag.rule, "warn");
  for (const flag of row.clip_flags) add(flag.rule, "note");
  if (row.missing_since) add(`gone since ${row.missing_since}`, "bad");
  return list;
}

function reasons(row) {
  const lines = row.alt_flags.map((flag) => `${flag.rule}: ${flag.reason}`);
  if (row.caption && row.alt_text && plain(row.caption) !== plain(row.alt_text)) lines.push(`The model said: ${row.caption}`);
  for (const flag of row.clip_flags) lines.push(`${flag.rule}: ${flag.reason}`);
  if (row.alt_text && row.message) lines.push(row.message);
  if (row.review === "rejected" && row.review_reason) lines.push(`Rejected: ${row.review_reason}`);
  return lines.length ? make("ul", { class: "reasons" }, ...lines.map((line) => make("li", {}, line))) : null;
}

const plain = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim();

// Where the model looked: a button a word lays the word's attention over the picture.
function words(row, n) {
  if (!row.attention) return null;
  const box = make("div", { class: "words" });
  row.attention.words.forEach((word, at) => {
    const button = make("button", { type: "button", "aria-pressed": "false" }, word);
    const lay = () => overlay(button, row.attention.grid, row.attention.weights[at]);
    button.addEventListener("mouseenter", lay);
    button.addEventListener("focus", lay);
    button.addEventListener("mouseleave", () => overlay(button));
    button.addEventListener("blur", () => overlay(button));
    box.append(button);
  });
  return make("details", {}, make("summary", {}, "Where the model looked"), box);
}

function overlay(button, grid, weights) {
  const box = button.closest(".row, .bench").querySelector(".picture");
  box.querySelector("canvas")?.remove();
  button.setAttribute("aria-pressed", String(Boolean(weights)));
  if (!weights) return;
  const canvas = make("canvas", { width: grid, height: grid, "aria-hidden": "true" });
  const pen = canvas.getContext("2d");
  weights.forEach((weight, at) => {
    pen.fillStyle = `rgba(10, 10, 20, ${0.75 * (1 - weight / 255)})`;
    pen.fillRect(at % grid, Math.floor(at / grid), 1, 1);
  });
  box.append(canvas);
}

function reviewButton(n) {
  const button = make("button", { type: "button" }, "Review this photo");
  button.addEventListener("click", () => review.go(n));
  return button;
}

// --- begin ----------------------------------------------------------------------------------------------------------

async function begin() {
  page.index = await source.index();
  page.index.names = page.index.names ?? [];
  showTop();
  fillFilters();
  order();
  await show();
  filters.addEventListener("input", async () => { order(); await show(); });
  filters.addEventListener("reset", () => setTimeout(async () => { order(); await show(); }));
  filters.addEventListener("submit", (event) => event.preventDefault());
  if (mode === "review") review.begin();
}

addEventListener("DOMContentLoaded", () => {
  begin().catch((error) => { find("#shown").textContent = `The rows cannot be read (${error.message}).`; });
});
