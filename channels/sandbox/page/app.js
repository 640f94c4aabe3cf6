// The page as a whole: what is chosen, what is loaded, what is said to the sandbox.

import { el, icon, moveBetween, reconcile } from "/page/files/dom.js";
import { List, initials } from "/page/files/list.js";
import { Mailbox } from "/page/files/mail.js";
import { Chat } from "/page/files/phone.js";
import { chooseLanguage, currentLanguage, word } from "/page/files/words.js";

const CHATS = ["whatsapp", "telegram", "sms"];
const CHANNELS = ["whatsapp", "telegram", "sms", "email"];

const room = document.getElementById("room");
const stage = document.getElementById("stage");
const search = document.getElementById("search");
const found = document.getElementById("found");
const toast = document.getElementById("toast");
const list = new List(document.getElementById("list"), (number) => choose(number));

let revision = 0;
let total = 0;
let matches = 0;
let person = null;
let desk = null;
let busy = false;
let again = false;

async function get(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  return answer.ok ? answer.json() : null;
}

function say(text, bad = false) {
  toast.textContent = text;
  toast.classList.toggle("bad", bad);
  toast.classList.add("shown");
  clearTimeout(say.timer);
  say.timer = setTimeout(() => toast.classList.remove("shown"), 4000);
}

// One load at a time; whatever changes meanwhile is fetched by the next one.
async function refresh() {
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  try {
    do {
      again = false;
      await Promise.all([loadPeople(), loadPerson()]);
    } while (again);
  } catch {
    say(word("lost"), true);
  } finally {
    busy = false;
  }
}

async function loadPeople() {
  const asked = search.value.trim();
  const query = new URLSearchParams({ after: String(revision), q: asked });
  const page = await get(`/page/people?${query}`);
  if (!page || asked !== search.value.trim()) return;
  if (page.revision < revision) {
    // the sandbox was started anew
    revision = 0;
    list.clear();
    again = true;
    return;
  }
  matches = asked ? (revision ? matches : page.matches) : page.total;
  ({ revision, total } = page);
  list.take(page.people);
  drawSums(page.counts);
  drawFound();
  if (person === null && !location.hash && window.innerWidth >= 900 && page.people.length) {
    choose(list.order[0], { focus: false });
  }
}

function drawFound() {
  const asked = search.value.trim();
  if (!total) found.textContent = word("nobody");
  else if (asked && !list.order.length) found.textContent = word("nothing");
  else found.textContent = word("found", asked ? Math.max(matches, list.order.length) : list.order.length, total);
}

function drawSums(counts) {
  const wanted = CHANNELS.filter((channel) => counts[channel][0] + counts[channel][1]).map((channel) => {
    const [accepted, refused] = counts[channel];
    const build = () =>
      el(
        "li",
        { class: `sum sum-${channel}` },
        icon(channel),
        el("span", {}, word(channel)),
        el("strong", {}, accepted.toLocaleString(currentLanguage())),
        refused ? el("span", { class: "minus", title: word("refused") }, `−${refused}`) : null,
      );
    return [channel, `${accepted} ${refused} ${currentLanguage()}`, build];
  });
  reconcile(document.getElementById("sums"), wanted);
}

async function loadPerson() {
  const number = person;
  if (number === null) return;
  const facts = await get(`/page/people/${number}`);
  if (number !== person) return;
  if (!facts) {
    leave();
    return;
  }
  desk ??= new Desk();
  desk.show(facts);
}

function choose(number, { focus = true } = {}) {
  person = number;
  desk = null;
  list.chosen = number;
  list.draw();
  room.classList.add("chosen");
  if (location.hash !== `#p${number}`) history.replaceState(null, "", `#p${number}`);
  if (focus && window.innerWidth < 900) stage.focus();
  refresh();
}

function leave() {
  const before = person;
  person = null;
  desk = null;
  list.chosen = null;
  list.draw();
  room.classList.remove("chosen");
  history.replaceState(null, "", location.pathname);
  stage.replaceChildren(el("p", { class: "hint" }, word("choose")));
  document.querySelector(`[data-key="${before}"] button`)?.focus();
}

async function answer(channel, to, what) {
  try {
    const reply = await fetch("/control/reply", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ channel, to, ...what }),
    });
    if (reply.ok) say(word(what.button === "unsubscribe" ? "unsubscribed" : "answered"));
    else say((await reply.json()).detail, true);
  } catch {
    say(word("lost"), true);
  }
  refresh();
}

// What stands on the stage for one person: the phone with its apps, and the mailbox beside it.
class Desk {
  constructor() {
    this.apps = new Map();
    this.notices = new Map();
    this.shown = null;
    this.name = el("h2", { dir: "auto" });
    this.face = el("span", { class: "face", "aria-hidden": "true" });
    this.facts = el("p", { class: "facts" });
    this.dock = el("div", { class: "dock", role: "tablist" });
    this.dock.addEventListener("keydown", (event) => moveBetween(event, [...this.dock.children]));
    this.screen = el("div", { class: "screen" });
    this.phone = el("div", { class: "phone" }, el("div", { class: "island", "aria-hidden": "true" }), this.screen, this.dock);
    this.window = el("div", { class: "window" });
    this.back = el("button", { type: "button", class: "back", onclick: leave }, icon("back"));
    stage.replaceChildren(
      el("header", { class: "owner" }, this.back, this.face, el("div", {}, this.name, this.facts)),
      el("div", { class: "devices" }, this.phone, this.window),
    );
  }

  show(facts) {
    const phones = new Map(facts.phones.map((one) => [one.channel, one]));
    const here = CHANNELS.filter((channel) => phones.has(channel));
    this.back.setAttribute("aria-label", word("back"));
    this.dock.setAttribute("aria-label", word("apps"));
    this.name.textContent = facts.name;
    this.face.textContent = initials(facts.name);
    this.face.className = `face hue-${facts.number % 8}`;
    this.drawFacts(facts, here, phones);
    stage.dataset.apps = here.some((one) => CHATS.includes(one)) ? (phones.has("email") ? "both" : "chat") : "email";
    for (const channel of here) this.app(channel, phones.get(channel)).show(phones.get(channel));
    if (!here.includes(this.shown)) this.shown = newest(here, phones);
    this.drawDock(here, phones);
    this.place();
    for (const phone of phones.values()) this.notice(phone);
  }

  app(channel, phone) {
    if (!this.apps.has(channel)) {
      const reply = (what) => answer(channel, phone.address, what);
      const made = channel === "email" ? new Mailbox(reply, (n) => get(`/page/mails/${n}`)) : new Chat(channel, reply);
      this.apps.set(channel, made);
      (channel === "email" ? this.window : this.screen).append(made.node);
    }
    return this.apps.get(channel);
  }

  drawFacts(facts, here, phones) {
    const wanted = here.map((channel) => [
      channel,
      phones.get(channel).address + currentLanguage(),
      () => el("span", { class: `fact sum-${channel}` }, icon(channel, word(channel)), el("bdi", {}, phones.get(channel).address)),
    ]);
    if (facts.language) {
      wanted.unshift(["language", facts.language, () => el("span", { class: "fact tag" }, facts.language)]);
    }
    reconcile(this.facts, wanted);
  }

  drawDock(here, phones) {
    this.drawn = [here, phones];
    const wanted = here.map((channel) => {
      const chosen = channel === this.shown;
      const count = phones.get(channel).items.length;
      return [channel, `${chosen} ${count} ${currentLanguage()}`, () => this.tab(channel, chosen, count)];
    });
    reconcile(this.dock, wanted);
  }

  tab(channel, chosen, count) {
    return el(
      "button",
      {
        type: "button",
        role: "tab",
        class: `tab tab-${channel}`,
        id: `tab-${channel}`,
        "aria-selected": String(chosen),
        "aria-controls": `app-${channel}`,
        tabindex: chosen ? "0" : "-1",
        onclick: () => this.switch(channel),
      },
      el("span", { class: "tab-icon" }, icon(channel), count ? el("span", { class: "badge" }, String(count)) : null),
      el("span", {}, word(channel)),
    );
  }

  switch(channel) {
    this.shown = channel;
    this.place();
    this.drawDock(...this.drawn);
    const app = this.apps.get(channel);
    if (app.scroll) app.scroll.scrollTop = app.scroll.scrollHeight;
  }

  // On a wide screen the mailbox has its own window; the phone then shows the chosen chat, or the first one.
  place() {
    const wide = window.matchMedia("(min-width: 1100px)").matches;
    const chats = CHATS.filter((one) => this.apps.has(one));
    const chat = CHATS.includes(this.shown) ? this.shown : wide ? chats[0] : null;
    for (const [channel, app] of this.apps) app.node.hidden = channel === "email" ? !wide && this.shown !== "email" : channel !== chat;
    stage.dataset.shown = this.shown ?? "";
    if (this.apps.has("email")) {
      const home = wide || !chats.length ? this.window : this.screen;
      const node = this.apps.get("email").node;
      if (node.parentElement !== home) home.append(node);
    }
  }

  notice(phone) {
    const before = this.notices.get(phone.channel);
    if (before !== undefined && phone.notice && phone.notice !== before) say(phone.notice);
    this.notices.set(phone.channel, phone.notice);
  }
}

function newest(here, phones) {
  const chats = here.filter((one) => CHATS.includes(one));
  const last = (channel) => phones.get(channel).items.at(-1)?.at ?? "";
  return (chats.length ? chats : here).reduce((best, one) => (last(one) > last(best) ? one : best));
}

function drawWords() {
  const language = currentLanguage();
  document.documentElement.lang = language;
  document.title = `${word("title")} – Botengang-Sandbox`;
  for (const node of document.querySelectorAll("[data-word]")) node.textContent = word(node.dataset.word);
  for (const node of document.querySelectorAll("[data-language]")) {
    node.setAttribute("aria-pressed", String(node.dataset.language === language));
  }
  search.placeholder = word("search");
  search.setAttribute("aria-label", word("search"));
  if (person === null) stage.replaceChildren(el("p", { class: "hint" }, word("choose")));
  list.draw();
  drawFound();
}

function searchAnew() {
  revision = 0;
  list.clear();
  refresh();
}

document.addEventListener("click", (event) => {
  const wanted = event.target.closest("[data-language]")?.dataset.language;
  if (!wanted) return;
  chooseLanguage(wanted);
  drawWords();
  refresh();
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    search.focus();
  }
  if (event.key === "Escape" && person !== null && window.innerWidth < 900 && !typing) leave();
});
search.addEventListener("input", searchAnew);
window.matchMedia("(min-width: 1100px)").addEventListener("change", () => desk && refresh());
window.addEventListener("hashchange", () => {
  const wanted = Number(location.hash.slice(2));
  if (wanted && wanted !== person) choose(wanted);
});

drawWords();
const wanted = /^#p\d+$/.test(location.hash) ? Number(location.hash.slice(2)) : null;
if (wanted) choose(wanted, { focus: false });
else refresh();

const changes = new EventSource("/page/changes");
changes.addEventListener("message", (event) => {
  if (Number(event.data) !== revision) refresh();
});
changes.addEventListener("error", () => say(word("lost"), true));
