// The list of people: newest first, but never moving under the pointer or the focus.

import { el, icon, reconcile } from "/page/files/dom.js";
import { clockTime, word } from "/page/files/words.js";

const MOST = 500;
const CHANNELS = ["sms", "whatsapp", "telegram", "email"];

export function initials(name) {
  const digits = name.replace(/\D/g, "");
  if (digits.length > 1) return digits.slice(-2);
  return [...name.trim()].slice(0, 2).join("").toUpperCase();
}

export class List {
  constructor(node, choose) {
    this.node = node;
    this.choose = choose;
    this.people = new Map();
    this.order = [];
    this.chosen = null;
    node.addEventListener("keydown", (event) => this.move(event));
  }

  clear() {
    this.people.clear();
    this.order = [];
  }

  take(people) {
    for (const person of people) this.people.set(person.number, person);
    const newest = [...this.people.values()].sort(
      (a, b) => !a.last - !b.last || (a.last ? b.revision - a.revision : a.number - b.number),
    );
    for (const person of newest.splice(MOST)) this.people.delete(person.number);
    const sorted = newest.map((person) => person.number);
    const still = this.node.matches(":hover") || this.node.contains(document.activeElement);
    if (still && this.order.length) {
      const known = new Set(this.order);
      this.order = [...this.order.filter((one) => this.people.has(one)), ...sorted.filter((one) => !known.has(one))];
    } else {
      this.order = sorted;
    }
    this.draw();
  }

  draw() {
    const wanted = this.order.map((number) => {
      const person = this.people.get(number);
      const chosen = number === this.chosen;
      const signature = `${person.revision} ${chosen} ${document.documentElement.lang}`;
      return [String(number), signature, () => this.row(person, chosen)];
    });
    reconcile(this.node, wanted);
  }

  row(person, chosen) {
    const last = person.last;
    const unread = Object.values(person.channels).reduce((sum, one) => sum + one, 0);
    const preview = last
      ? el("span", { class: `preview${last.ok ? "" : " bad"}`, dir: "auto" }, last.own ? `↩ ${last.text}` : last.text)
      : el("span", { class: "preview quiet" }, "–");
    const facts = {
      type: "button",
      class: `person hue-${person.number % 8}`,
      "aria-current": chosen ? "true" : null,
      onclick: () => this.choose(person.number),
    };
    return el(
      "li",
      {},
      el(
        "button",
        facts,
        el("span", { class: "face", "aria-hidden": "true" }, initials(person.name)),
        el(
          "span",
          { class: "lines" },
          el(
            "span",
            { class: "first" },
            el("span", { class: "name", dir: "auto" }, person.name),
            last ? el("time", { datetime: last.at }, clockTime(last.at)) : null,
          ),
          el(
            "span",
            { class: "second" },
            preview,
            el(
              "span",
              { class: "channels" },
              CHANNELS.filter((one) => one in person.channels).map((one) => icon(one, word(one))),
              unread > 1 ? el("span", { class: "count" }, String(unread)) : null,
            ),
          ),
        ),
      ),
    );
  }

  move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const rows = [...this.node.querySelectorAll("button")];
    const next = rows[rows.indexOf(document.activeElement) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  }
}
