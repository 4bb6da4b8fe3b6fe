// The page works without this. With it, filters act as one types, and what is shown is refreshed in place.
"use strict";

const EVERY = 10_000; // milliseconds between two refreshes
const TYPING = 200; // milliseconds without a key after which a search is made
const filters = document.getElementById("filters");
const announce = document.getElementById("announce");
const pulse = document.getElementById("pulse");
const pause = document.getElementById("pause");
let asked; // the request under way
let timer;
let typed;
let paused = false;
let released = Promise.resolve(); // once no button of the mouse, and no finger, is down

document.documentElement.classList.add("js");
document.querySelector(".live").hidden = false;

// Where the focus is, in words that hold for the new rows too.
function focused() {
  const active = document.activeElement;
  const part = active?.closest("[data-live]");
  if (!part) return null;
  const row = active.closest("[id]");
  const all = [...row.querySelectorAll("a, button")];
  return { id: row.id, place: row === active ? -1 : all.indexOf(active) };
}

function refocus(before) {
  if (!before || document.activeElement !== document.body) return;
  const row = document.getElementById(before.id);
  const there = before.place < 0 ? row : row?.querySelectorAll("a, button")[before.place];
  there?.focus({ preventScroll: true });
}

// What was unfolded stays so.
function unfold(old, fresh) {
  for (const row of old.querySelectorAll("[id]")) {
    if (row.querySelector("details[open]")) fresh.querySelector(`#${CSS.escape(row.id)}`)?.querySelector("details")?.setAttribute("open", "");
  }
}

// Rows stay, and of a row the cells, that are as they were: neither scroll nor tooltip nor focus moves.
function renew(old, fresh) {
  const rows = old.tagName === "TBODY" && old.rows[0]?.id;
  if (!rows) {
    if (old.outerHTML !== fresh.outerHTML) old.replaceWith(document.adoptNode(fresh));
    return;
  }
  const known = new Map([...old.rows].map((row) => [row.id, row]));
  const wanted = [...fresh.rows].map((row) => {
    const same = known.get(row.id);
    if (!same || same.cells.length !== row.cells.length) return document.adoptNode(row);
    same.className = row.className;
    [...row.cells].forEach((cell, place) => {
      if (same.cells[place].outerHTML !== cell.outerHTML) same.cells[place].replaceWith(document.adoptNode(cell.cloneNode(true)));
    });
    return same;
  });
  const kept = new Set(wanted);
  for (const row of [...old.rows]) if (!kept.has(row)) row.remove();
  wanted.forEach((row, place) => {
    if (old.rows[place] !== row) old.insertBefore(row, old.rows[place] ?? null);
  });
}

function say(text) {
  if (announce.textContent !== text) announce.textContent = text;
}

function show(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const before = focused();
  for (const old of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(old.id);
    if (!now) continue;
    unfold(old, now);
    renew(old, now);
  }
  refocus(before);
  document.title = fresh.title;
  const said = document.getElementById("said");
  if (said) say(`${said.textContent}. ${document.getElementById("count").textContent}`);
  document.body.classList.remove("stale");
}

async function load(address, keep) {
  asked?.abort();
  const mine = (asked = new AbortController());
  clearTimeout(timer);
  try {
    const response = await fetch(address, { signal: mine.signal });
    if (!response.ok) throw new Error(response.status);
    const text = await response.text();
    await released;
    if (mine.signal.aborted) return;
    if (keep) history[keep]({}, "", address);
    show(text);
    tell();
  } catch (error) {
    if (error.name === "AbortError") return;
    document.body.classList.add("stale");
    pulse.textContent = `not reached at ${new Date().toLocaleTimeString()}, trying again`;
    say("The exporter cannot be reached.");
  }
  wait();
}

function wait() {
  clearTimeout(timer);
  if (!paused && !document.hidden) timer = setTimeout(() => load(location.href), EVERY);
}

function tell() {
  pulse.textContent = paused ? "paused" : "";
}

// What is pressed must still be there when it is let go, or nothing was clicked.
document.addEventListener("pointerdown", () => {
  released = new Promise((done) => {
    for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => setTimeout(done), { once: true });
  });
});

pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  tell();
  if (paused) clearTimeout(timer);
  else load(location.href);
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !paused) load(location.href);
});

// What the form says, as an address without what is as it would be anyway.
function address() {
  const said = [...new FormData(filters)].filter(([name, value]) => value !== "" && value !== { sort: "state", per_page: "50" }[name]);
  const query = new URLSearchParams(said).toString();
  const page = filters.getAttribute("action");
  return query ? `${page}?${query}` : page;
}

function fill() {
  const said = new URLSearchParams(location.search);
  for (const field of filters.elements) {
    if (!field.name || field === document.activeElement) continue;
    field.value = said.get(field.name) ?? { sort: "state", per_page: "50" }[field.name] ?? "";
  }
}

if (filters) {
  filters.addEventListener("submit", (event) => {
    event.preventDefault();
    load(address(), "pushState");
  });
  filters.addEventListener("input", (event) => {
    clearTimeout(typed);
    const typing = event.target.type === "search";
    typed = setTimeout(() => load(address(), "replaceState"), typing ? TYPING : 0);
  });
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-go]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    await load(link.href, "pushState");
    fill();
  });
  window.addEventListener("popstate", async () => {
    fill();
    await load(location.href);
  });
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(text.textContent);
    say("Copied.");
    button.firstChild.data = "Copied";
  } catch {
    // A page that did not come by TLS has no clipboard: select it, and the person copies.
    getSelection().selectAllChildren(text);
    say("Selected; copy it by the keyboard.");
  }
});

tell();
wait();
