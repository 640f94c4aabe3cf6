// The page's words in German and English; everything else on it comes from the messages.

const WORDS = {
  de: {
    title: "Telefone",
    claim: "Botengang-Sandbox: Nichts verlässt diesen Rechner.",
    skip: "Zum Telefon springen",
    people: "Personen",
    search: "Name oder Adresse suchen",
    found: (shown, all) => (shown < all ? `${shown} von ${all} Personen` : `${all} Personen`),
    nobody: "Noch keine Nachrichten. Sie erscheinen hier von selbst.",
    nothing: "Niemand gefunden.",
    choose: "Wählen Sie links eine Person aus.",
    back: "Zurück zur Liste",
    you: "Antwort",
    sms: "SMS",
    whatsapp: "WhatsApp",
    telegram: "Telegram",
    email: "E-Mail",
    apps: "Apps auf diesem Telefon",
    inbox: "Posteingang",
    mails: (count) => (count === 1 ? "1 E-Mail" : `${count} E-Mails`),
    empty: "Hier ist noch nichts angekommen.",
    write: "Nachricht schreiben",
    hand: "Absenden",
    answered: "Abgeschickt.",
    pressed: "gedrückt",
    parts: (count) => `${count} SMS-Teile`,
    queued: "wartet",
    sent: "unterwegs",
    arrived: "angekommen",
    delivered: "zugestellt",
    failed: "Nicht angekommen",
    refused: "Vom Anbieter abgelehnt",
    code: "Code",
    service: "Nachrichtendienst",
    bot: "Bot",
    business: "Unternehmenskonto",
    formatted: "Ansicht",
    text: "Nur Text",
    headers: "Kopfzeilen",
    noHtml: "Diese E-Mail hat keinen HTML-Teil.",
    unsubscribe: "Abmelden",
    unsubscribed: "Abgemeldet.",
    frame: "Inhalt der E-Mail",
    today: "Heute",
    lost: "Keine Verbindung zur Sandbox. Neuer Versuch läuft …",
  },
  en: {
    title: "Phones",
    claim: "Botengang sandbox: nothing leaves this machine.",
    skip: "Skip to the phone",
    people: "People",
    search: "Search name or address",
    found: (shown, all) => (shown < all ? `${shown} of ${all} people` : `${all} people`),
    nobody: "No messages yet. They will appear here by themselves.",
    nothing: "Nobody found.",
    choose: "Choose somebody from the list.",
    back: "Back to the list",
    you: "Answer",
    sms: "SMS",
    whatsapp: "WhatsApp",
    telegram: "Telegram",
    email: "E-mail",
    apps: "Apps on this phone",
    inbox: "Inbox",
    mails: (count) => (count === 1 ? "1 e-mail" : `${count} e-mails`),
    empty: "Nothing has arrived here yet.",
    write: "Write a message",
    hand: "Send",
    answered: "Handed over.",
    pressed: "pressed",
    parts: (count) => `${count} SMS parts`,
    queued: "waiting",
    sent: "on its way",
    arrived: "arrived",
    delivered: "delivered",
    failed: "Did not arrive",
    refused: "Refused by the provider",
    code: "code",
    service: "text messages",
    bot: "bot",
    business: "business account",
    formatted: "View",
    text: "Text only",
    headers: "Headers",
    noHtml: "This e-mail has no HTML part.",
    unsubscribe: "Unsubscribe",
    unsubscribed: "Unsubscribed.",
    frame: "Content of the e-mail",
    today: "Today",
    lost: "No connection to the sandbox. Trying again …",
  },
};

function stored() {
  try {
    return localStorage.getItem("language");
  } catch {
    return null;
  }
}

let language = stored() === "en" ? "en" : "de";

export function word(name, ...values) {
  const found = WORDS[language][name];
  return typeof found === "function" ? found(...values) : found;
}

export function currentLanguage() {
  return language;
}

export function chooseLanguage(wanted) {
  language = wanted;
  try {
    localStorage.setItem("language", wanted);
  } catch {
    // a browser without storage forgets the choice, and that is fine
  }
}

export function clockTime(iso) {
  return new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" }).format(new Date(iso));
}

export function dayName(iso) {
  const day = new Date(iso);
  if (day.toDateString() === new Date().toDateString()) return word("today");
  return new Intl.DateTimeFormat(language, { weekday: "long", day: "numeric", month: "long" }).format(day);
}
