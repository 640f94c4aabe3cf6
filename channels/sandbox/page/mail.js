// The mailbox: a list of mails and one of them open. A mail's HTML stays in its own frame, under its own policy.

import { el, icon, moveBetween, reconcile } from "/page/files/dom.js";
import { clockTime, dayName, word } from "/page/files/words.js";

const VIEWS = ["formatted", "text", "headers"];

function sender(from) {
  return from.replace(/\s*<[^>]*>\s*$/, "").replace(/^"|"$/g, "") || from;
}

export class Mailbox {
  constructor(answer, load) {
    this.answer = answer;
    this.load = load;
    this.phone = null;
    this.open = null;
    this.mail = null;
    this.view = "formatted";
    this.title = el("strong", {});
    this.address = el("span", { class: "mail-address", dir: "ltr" });
    this.list = el("ol", { class: "mails" });
    this.reader = el("div", { class: "reader" });
    this.node = el(
      "section",
      { class: "app app-email", id: "app-email" },
      el("header", { class: "mail-head" }, icon("email"), el("span", {}, this.title, this.address)),
      this.list,
      this.reader,
    );
  }

  show(phone) {
    const fresh = this.phone?.address !== phone.address;
    this.phone = phone;
    const mails = phone.items.filter((item) => !item.own).reverse();
    this.title.textContent = `${word("inbox")} · ${word("mails", mails.length)}`;
    this.address.textContent = phone.address;
    const readable = mails.filter((item) => item.readable);
    if (fresh || !readable.some((item) => item.n === this.open)) {
      this.view = "formatted";
      this.choose(readable.find((item) => item.accepted)?.n ?? readable[0]?.n ?? null);
    }
    this.drawList(mails);
    this.drawReader();
  }

  drawList(mails) {
    const language = document.documentElement.lang;
    const wanted = mails.map((item) => {
      const open = item.n === this.open;
      return [String(item.n), `${language} ${open} ${item.status}`, () => this.row(item, open)];
    });
    if (!mails.length) wanted.push(["empty", language, () => el("li", { class: "quiet" }, word("empty"))]);
    reconcile(this.list, wanted);
  }

  row(item, open) {
    const said = item.accepted ? null : `${word("refused")} · ${item.reason || item.code}`;
    return el(
      "li",
      {},
      el(
        "button",
        {
          type: "button",
          class: `mail-row${item.accepted ? "" : " lost"}`,
          "aria-current": open ? "true" : null,
          disabled: !item.readable,
          onclick: () => this.pick(item.n),
        },
        el("span", { class: "mail-from", dir: "auto" }, sender(item.from) || "–"),
        el("time", { datetime: item.at }, clockTime(item.at)),
        el("span", { class: "mail-subject", dir: "auto" }, item.subject || "–"),
        said ? el("span", { class: "mail-lost" }, said) : null,
      ),
    );
  }

  pick(n) {
    this.view = "formatted";
    this.choose(n);
    this.drawList(this.phone.items.filter((item) => !item.own).reverse());
    this.drawReader();
  }

  async choose(n) {
    this.open = n;
    this.mail = null;
    if (n === null) return;
    const mail = await this.load(n);
    if (this.open !== n) return;
    this.mail = mail;
    if (mail && !mail.html) this.view = "text";
    this.drawReader();
  }

  drawReader() {
    if (this.open === null || !this.mail) {
      reconcile(this.reader, []);
      return;
    }
    const language = document.documentElement.lang;
    const { open, mail, view } = this;
    reconcile(this.reader, [
      ["head", `${open} ${language}`, () => this.head(mail)],
      ["tabs", `${open} ${language} ${view}`, () => this.tabs(mail)],
      ["body", `${open} ${language} ${view}`, () => this.body(mail)],
    ]);
  }

  head(mail) {
    const headers = Object.fromEntries(mail.headers);
    const item = this.phone.items.find((one) => one.n === this.open);
    return el(
      "header",
      { class: "reader-head" },
      el("h3", { dir: "auto" }, mail.subject || "–"),
      el("span", { class: "mail-face", "aria-hidden": "true" }, sender(headers.From ?? "?").slice(0, 1)),
      el(
        "span",
        { class: "reader-from" },
        el("strong", { dir: "auto" }, sender(headers.From ?? "")),
        el("span", { dir: "ltr" }, (headers.From ?? "").match(/<([^>]*)>/)?.[1] ?? ""),
      ),
      item ? el("time", { datetime: item.at }, `${dayName(item.at)}, ${clockTime(item.at)}`) : null,
      headers["List-Unsubscribe"]
        ? el(
            "button",
            { type: "button", class: "unsubscribe", onclick: () => this.answer({ button: "unsubscribe" }) },
            word("unsubscribe"),
          )
        : null,
      mail.attachments.length
        ? el("ul", { class: "clips" }, mail.attachments.map((one) => el("li", { dir: "auto" }, icon("clip"), one)))
        : null,
    );
  }

  tabs() {
    const node = el(
      "div",
      { class: "views", role: "tablist", onkeydown: (event) => moveBetween(event, [...node.children]) },
      VIEWS.map((name) =>
        el(
          "button",
          {
            type: "button",
            role: "tab",
            id: `view-${name}`,
            "aria-selected": String(name === this.view),
            "aria-controls": "mail-view",
            tabindex: name === this.view ? "0" : "-1",
            onclick: () => this.look(name),
          },
          word(name),
        ),
      ),
    );
    return node;
  }

  look(name) {
    this.view = name;
    this.drawReader();
    document.getElementById(`view-${name}`)?.focus();
  }

  body(mail) {
    const facts = { class: "view", id: "mail-view", role: "tabpanel", "aria-labelledby": `view-${this.view}` };
    if (this.view === "headers") {
      const lines = mail.headers.flatMap(([name, value]) => [el("dt", {}, name), el("dd", { dir: "auto" }, value)]);
      return el("div", { ...facts, tabindex: "0" }, el("dl", { class: "headers" }, lines));
    }
    if (this.view === "text") return el("div", { ...facts, tabindex: "0" }, el("pre", { dir: "auto" }, mail.text));
    if (!mail.html) return el("div", facts, el("p", { class: "quiet" }, word("noHtml")));
    const frame = el("iframe", {
      title: word("frame"),
      src: `/mail/${this.open}`,
      sandbox: "allow-popups allow-popups-to-escape-sandbox",
      referrerpolicy: "no-referrer",
    });
    return el("div", facts, frame);
  }
}
