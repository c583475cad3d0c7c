// The desk of `narrate review`: one photo at a time, by keyboard alone where one likes.
"use strict";

const KEYS = [
  ["A", "approve, and go to the next"], ["E", "edit the text"], ["Ctrl+Enter", "save the edit, and go to the next"],
  ["R", "reject with a reason"], ["J", "next without a decision"], ["K", "back"], ["P", "play the clip, or the edited text"],
  ["U", "take back this photo's decision"], ["Esc", "leave the text"],
];
const AHEAD = 5;

const review = { token: document.querySelector("meta[name=narrate-token]")?.content ?? "", row: null, number: -1, busy: false, decided: 0 };

review.begin = async () => {
  build();
  addEventListener("keydown", onKey);
  const first = page.order.find(isOpen) ?? page.order[0];
  if (first !== undefined) await review.go(first, { quiet: true });
};

const isOpen = (n) => page.index.reviews[page.index.review[n]] === "" && page.index.statuses[page.index.status[n]] === "described";
const openCount = () => page.index.review.reduce((sum, _, n) => sum + isOpen(n), 0);

// --- the desk -------------------------------------------------------------------------------------------------------

function build() {
  const keyed = (label, key, action, kind = "") => {
    const button = make("button", { type: "button", class: kind, "aria-keyshortcuts": key.replace("Ctrl", "Control") }, label, make("kbd", { "aria-hidden": "true" }, key));
    button.addEventListener("click", action);
    return button;
  };
  const keys = make("dl", { class: "keys" }, ...KEYS.flatMap(([key, does]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, does)]));
  const text = make("textarea", { id: "text", spellcheck: true });
  const reason = make("input", { id: "reason", autocomplete: "off", maxLength: 500 });
  reason.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); decide("rejected"); } });
  text.addEventListener("input", () => { find("#save").disabled = text.value.trim() === review.row.alt_text; });
  const save = keyed("Save edit", "Ctrl+Enter", () => decide("edited"));
  save.id = "save";
  const undo = keyed("Undo", "U", () => decide("reopened"));
  undo.id = "undo";
  const rejecting = make("div", { class: "reject", id: "rejecting", hidden: true }, make("label", {}, "Why is it rejected?", reason), keyed("Reject", "Enter", () => decide("rejected")));
  find("#desk").replaceChildren(
    make("div", { class: "top" }, make("h2", { id: "desk-title", tabIndex: -1 }, "Review"), make("span", {}, make("span", { id: "left" }))),
    make("div", { class: "bench" },
      make("div", { id: "desk-picture" }),
      make("div", {},
        make("label", { for: "text" }, "Alt text"), text,
        make("div", { class: "actions" },
          keyed("Approve", "A", () => decide("approved"), "main"), save, keyed("Reject …", "R", askReason),
          keyed("Next", "J", () => step(1)), keyed("Back", "K", () => step(-1)), keyed("Play", "P", play), undo),
        rejecting,
        make("p", { id: "said", role: "status" }), make("div", { id: "desk-sound" }), make("div", { id: "desk-facts" }),
        make("details", {}, make("summary", {}, "Keys"), keys,
          make("label", { class: "switch" }, make("span", {}, make("input", { type: "checkbox", id: "single", checked: true }), " single-letter keys"))))),
  );
  find("#desk").hidden = false;
}

review.go = async (number, { quiet = false } = {}) => {
  const [row] = await rowsOf([number]);
  review.row = row;
  review.number = number;
  find("#desk-title").textContent = row.id;
  find("#text").value = row.alt_text ?? "";
  find("#text").lang = row.language ?? "en";
  find("#save").disabled = true;
  find("#rejecting").hidden = true;
  find("#reason").value = "";
  find("#desk-picture").replaceChildren(picture(row));
  find("#desk-facts").replaceChildren(...[facts(row), reasons(row), words(row, number)].filter(Boolean));
  find("#desk-sound").replaceChildren(...[sound(row)].filter(Boolean));
  const left = openCount();
  find("#left").textContent = left ? `${counted(left, "photo", "photos")} left to review` : "All photos are reviewed.";
  for (const button of document.querySelectorAll("#desk .actions button")) button.disabled = row.status !== "described" && !/Next|Back/.test(button.textContent);
  find("#save").disabled = true;
  find("#undo").disabled = row.review === "";
  document.querySelector(".row[data-current]")?.removeAttribute("data-current");
  document.querySelector(`.row[data-number="${number}"]`)?.setAttribute("data-current", "");
  if (!quiet) {
    say(`${row.id}. ${row.alt_text ?? row.message ?? ""}`, { heard: true });
    find("#desk").scrollIntoView({ block: "nearest" });
  }
  ahead();
};

// The rows after this one are read while the person looks at it, so that the next is there at once.
function ahead() {
  const at = page.order.indexOf(review.number);
  const next = page.order.slice(at + 1, at + 1 + AHEAD);
  rowsOf([review.number, ...next]).then((rows) => {
    for (const row of rows) if (row.thumbnail) new Image().src = row.thumbnail;
  }).catch(() => {});
}

function say(words, { bad = false, heard = false } = {}) {
  const line = find("#said");
  line.className = bad ? "bad" : heard ? "soft" : "";
  line.textContent = words;
}

function step(by) {
  const at = page.order.indexOf(review.number);
  const to = page.order[at + by];
  if (to === undefined) say(by > 0 ? "This is the last photo of the list." : "This is the first photo of the list.");
  else review.go(to);
}

function nextOpen() {
  const at = page.order.indexOf(review.number);
  return page.order.slice(at + 1).find(isOpen) ?? page.order.slice(0, at).find(isOpen);
}

// --- decisions ------------------------------------------------------------------------------------------------------

const SAID = { approved: "Approved", edited: "Saved", rejected: "Rejected", reopened: "Taken back" };

async function decide(action) {
  const { row, number } = review;
  const text = find("#text").value.trim();
  if (review.busy || !row || row.status !== "described") return;
  if (action === "reopened" && row.review === "") { say("Nothing is decided about this photo yet."); return; }
  if (action === "approved" && text !== row.alt_text) action = "edited";
  if (action === "edited" && text === "") { say("The text is empty: write one, or reject the photo's text.", { bad: true }); return; }
  if (action === "rejected" && find("#reason").value.trim() === "") { askReason(); return; }
  review.busy = true;
  try {
    const body = { number, action, text: action === "edited" ? text : row.alt_text, reason: find("#reason").value.trim(), seen: row.seen };
    const changed = await answer("data/decide", posted(body));
    take(number, changed);
    await moveOn(action, row);
  } catch (error) {
    await failed(error, number);
  } finally {
    review.busy = false;
  }
}

async function moveOn(action, row) {
  const next = action === "reopened" ? review.number : nextOpen();
  const done = `${SAID[action]}: ${row.id}.`;
  if (next === undefined) { await review.go(review.number, { quiet: true }); say(`${done} All photos of this list are reviewed.`); return; }
  await review.go(next, { quiet: true });
  say(`${done} Now ${review.row.id}: ${review.row.alt_text ?? ""}`);
  find("#desk").scrollIntoView({ block: "nearest" });
  if (document.activeElement?.matches("#text, #reason, body")) find("#desk-title").focus({ preventScroll: true });
}

function take(number, changed) {
  page.kept.set(number, changed);
  page.index.review[number] = page.index.reviews.indexOf(changed.review);
  showTop();
  const shown = document.querySelector(`.row[data-number="${number}"]`);
  shown?.parentElement.replaceWith(card(changed, number));
}

async function failed(error, number) {
  if (error.response?.status === 409) {
    const changed = await error.response.json();
    take(number, changed);
    const mine = find("#text").value;
    await review.go(number, { quiet: true });
    if (mine.trim() !== (changed.alt_text ?? "")) find("#text").value = mine;
    find("#save").disabled = mine.trim() === changed.alt_text;
    say(`${changed.reviewed_by || "Somebody"} decided about this photo meanwhile: “${changed.alt_text}”. Yours is still in the box; save it again to overrule.`, { bad: true });
    return;
  }
  const told = error.response ? await error.response.json().then((body) => body.detail, () => error.message) : "the review program does not answer; is it still running?";
  say(`Not saved: ${told}`, { bad: true });
}

const posted = (body) => ({ method: "POST", headers: { "Content-Type": "application/json", "X-Narrate-Token": review.token }, body: JSON.stringify(body) });

function askReason() {
  find("#rejecting").hidden = false;
  find("#reason").focus();
  say("Say why, then press Enter.");
}

// --- sound ----------------------------------------------------------------------------------------------------------

async function play() {
  const text = find("#text").value.trim();
  const clip = find("#desk-sound audio");
  if (text === review.row.spoken_text && clip) { clip.currentTime = 0; clip.play(); return; }
  say("Speaking …");
  try {
    const response = await fetch("data/speak", posted({ number: review.number, text }));
    if (!response.ok) throw new Error((await response.json()).detail);
    const audio = make("audio", { controls: true, src: URL.createObjectURL(await response.blob()), "aria-label": "Clip of the edited text" });
    find("#desk-sound").replaceChildren(audio);
    await audio.play();
    say("This is how the edited text sounds; the next run makes its clip.");
  } catch (error) {
    say(`It cannot be spoken: ${error.message}`, { bad: true });
  }
}

// --- keys -----------------------------------------------------------------------------------------------------------

function onKey(event) {
  const writing = event.target.matches?.("textarea, input:not([type=checkbox]), select");
  if (event.ctrlKey && event.key === "Enter" && event.target.id === "text") { event.preventDefault(); decide("edited"); return; }
  if (event.key === "Escape" && writing) { find("#desk-title").focus(); find("#rejecting").hidden = true; return; }
  if (writing || event.ctrlKey || event.metaKey || event.altKey || !find("#single").checked) return;
  const action = { a: () => decide("approved"), e: () => find("#text").focus(), r: askReason, j: () => step(1), k: () => step(-1), p: play, u: () => decide("reopened") }[event.key.toLowerCase()];
  if (action) { event.preventDefault(); action(); }
}
