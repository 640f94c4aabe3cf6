// One phone: the chat of a channel as its app would show it, and an input to answer.

import { el, icon, reconcile } from "/page/files/dom.js";
import { clockTime, dayName, word } from "/page/files/words.js";

const STYLES = {
  bold: "strong",
  italic: "em",
  underline: "u",
  strikethrough: "s",
  code: "code",
  pre: "code",
  blockquote: "q",
  spoiler: "mark",
};

function run([text, styles, link]) {
  let node = document.createTextNode(text);
  for (const style of styles.split(" ")) {
    if (STYLES[style]) node = el(STYLES[style], {}, node);
  }
  if (/^https?:\/\//i.test(link)) {
    node = el("a", { href: link, target: "_blank", rel: "noopener noreferrer", dir: "ltr" }, node);
  }
  return node;
}

function lost(item) {
  return !item.accepted || item.status === "failed" || item.status === "undelivered";
}

function fate(item) {
  if (lost(item)) return null;
  const looks = { arrived: ["tick", "arrived"], delivered: ["ticks", "delivered"], sent: ["tick", "sent"] };
  const known = looks[item.status] ?? ["clock", "queued"];
  return el("span", { class: `fate ${known[1]}` }, icon(known[0]), el("span", {}, word(known[1])));
}

function complaint(item) {
  if (!lost(item)) return null;
  const said = [word(item.accepted ? "failed" : "refused")];
  if (item.code) said.push(`${word("code")} ${item.code}`);
  return el(
    "p",
    { class: "complaint" },
    icon("failed"),
    el("span", {}, said.join(" · "), item.reason ? el("small", { dir: "auto" }, item.reason) : null),
  );
}

function key(button, press) {
  if (button.url) {
    return el(
      "a",
      { class: "key", href: button.url, target: "_blank", rel: "noopener noreferrer" },
      el("span", { dir: "auto" }, button.label),
      icon("link"),
    );
  }
  return el(
    "button",
    { class: "key", type: "button", onclick: () => press(button) },
    icon("reply"),
    el("span", { dir: "auto" }, button.label),
  );
}

function bubble(item, press) {
  if (item.own) {
    return el(
      "li",
      { class: "message own" },
      el(
        "div",
        { class: "bubble" },
        el("span", { class: "unseen" }, `${word("you")}: `),
        el("p", { class: "said", dir: "auto" }, item.text),
        el("p", { class: "meta" }, el("time", { datetime: item.at }, clockTime(item.at)), icon("ticks")),
      ),
    );
  }
  const several = item.parts > 1 ? el("span", {}, word("parts", item.parts)) : null;
  return el(
    "li",
    { class: `message${lost(item) ? " lost" : ""}` },
    el(
      "div",
      { class: "bubble" },
      el("p", { class: "said", dir: "auto" }, item.runs.map(run)),
      el("p", { class: "meta" }, several, fate(item), el("time", { datetime: item.at }, clockTime(item.at))),
    ),
    item.buttons.length && !lost(item) ? el("div", { class: "keys" }, item.buttons.map((one) => key(one, press))) : null,
    complaint(item),
  );
}

function day(iso) {
  return el("li", { class: "day" }, el("span", {}, dayName(iso)));
}

export class Chat {
  constructor(channel, answer) {
    this.channel = channel;
    this.answer = answer;
    this.phone = null;
    this.messages = el("ol", { class: "messages" });
    this.scroll = el("div", { class: "scroll", tabindex: "0" }, this.messages);
    this.title = el("strong", { dir: "auto" });
    this.subtitle = el("span", {});
    this.input = el("input", { type: "text", autocomplete: "off", dir: "auto", maxlength: "1000" });
    this.chips = el("div", { class: "chips" });
    this.button = el("button", { type: "submit", class: "go" }, icon("go"));
    const form = el("form", { class: "composer", onsubmit: (event) => this.submit(event) }, this.input, this.button);
    this.node = el(
      "section",
      { class: `app app-${channel}`, id: `app-${channel}`, role: "tabpanel", "aria-labelledby": `tab-${channel}` },
      el(
        "header",
        { class: "app-head" },
        el("span", { class: "app-face", "aria-hidden": "true" }, icon(channel)),
        el("span", { class: "app-name" }, this.title, this.subtitle),
      ),
      this.scroll,
      this.chips,
      form,
    );
  }

  show(phone) {
    const fresh = this.phone?.address !== phone.address;
    const below = this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < 60;
    this.phone = phone;
    this.title.textContent = this.channel === "sms" ? phone.sender : "Botengang";
    this.subtitle.textContent = {
      sms: word("service"),
      whatsapp: `${word("business")} · ${phone.sender}`,
      telegram: `${word("bot")} · ${phone.sender}`,
    }[this.channel];
    this.scroll.setAttribute("aria-label", word(this.channel));
    this.input.placeholder = word("write");
    this.input.setAttribute("aria-label", word("write"));
    this.button.setAttribute("aria-label", word("hand"));
    this.drawChips();
    this.drawMessages(phone.items);
    if (fresh || below) this.scroll.scrollTop = this.scroll.scrollHeight;
  }

  drawChips() {
    const said = this.channel === "telegram" ? ["STOPP", "/start"] : ["STOPP", "START"];
    const wanted = said.map((text) => [
      text,
      text,
      () => el("button", { type: "button", class: "chip", onclick: () => this.answer({ text }) }, text),
    ]);
    reconcile(this.chips, wanted);
  }

  drawMessages(items) {
    const language = document.documentElement.lang;
    const wanted = [];
    let before = "";
    let own = 0;
    for (const item of items) {
      const today = new Date(item.at).toDateString();
      if (today !== before) wanted.push([`day ${today}`, language, () => day(item.at)]);
      before = today;
      const name = item.own ? `own ${item.at} ${(own += 1)}` : `n ${item.n}`;
      wanted.push([name, language + JSON.stringify(item), () => bubble(item, (one) => this.answer({ button: one.id }))]);
    }
    if (!items.length) wanted.push(["empty", language, () => el("li", { class: "day" }, el("span", {}, word("empty")))]);
    reconcile(this.messages, wanted);
  }

  async submit(event) {
    event.preventDefault();
    const text = this.input.value;
    if (!text.trim()) return;
    this.input.value = "";
    await this.answer({ text });
    this.input.focus();
  }
}
