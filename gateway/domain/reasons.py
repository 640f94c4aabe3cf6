"""Say in one or two sentences what a code means and what to do next, for caseworkers, in German and English.

Words only: which code applies is decided by planning, retrying and the verbs. The German never calls a message
"zugestellt" on our own authority: what a provider reports is "als zugestellt gemeldet" (A-21).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gateway.domain.reasons_accounts import ACCOUNTS
from gateway.domain.reasons_staff import STAFF
from gateway.domain.sentence import Sentence

_PLAN: dict[str, Sentence] = {
    "not_in_template": Sentence(
        "Diese Nachricht gibt es nicht für diesen Kanal. Es ist nichts zu tun; ein anderer Kanal übernimmt.",
        "This message is not written for this channel. Nothing to do; another channel takes over.",
    ),
    "not_requested": Sentence(
        "Das Fachverfahren hat diesen Kanal für diese Nachricht nicht gewählt. Es ist nichts zu tun.",
        "The requesting service did not choose this channel for this message. Nothing to do.",
    ),
    "no_account": Sentence(
        "Für diesen Kanal ist kein Versandkonto eingerichtet. Bitte die Administration fragen, ob er kommen soll.",
        "No account is set up for this channel. Ask the administrators whether it is planned.",
    ),
    "account_not_released": Sentence(
        "Das Versandkonto ist nicht freigegeben: Der Eintrag im Anbieterverzeichnis ist unvollständig. Bitte an die "
        "Administration wenden; sie ergänzt ihn mit der Datenschutzstelle.",
        "The account is not released: its entry in the provider register is incomplete. Ask the administrators; they "
        "complete it with the data protection officer.",
    ),
    "class_not_allowed": Sentence(
        "Der Inhalt ist für diesen Kanal zu vertraulich. Bitte das Postfach im Portal oder einen Brief nutzen.",
        "The content is too confidential for this channel. Use the portal mailbox or a letter.",
    ),
    "no_version_for_channel": Sentence(
        "Hier dürfte nur die neutrale Fassung hinaus, und die gibt es für diesen Kanal nicht. Bitte den Kanal in der "
        "neutralen Vorlage ergänzen lassen.",
        "Only the neutral version may go out here, and it is not written for this channel. Have the channel added to "
        "the neutral template.",
    ),
    "no_contact_point": Sentence(
        "Für diesen Kanal ist keine Adresse oder Nummer der Person bekannt. Bitte beim nächsten Kontakt danach fragen.",
        "No address or number of this person is known for this channel. Ask for it at the next contact.",
    ),
    "contact_point_unverified": Sentence(
        "Die Adresse oder Nummer ist noch nicht bestätigt. Bitte die Person bitten, sie zu bestätigen.",
        "The address or number has not been confirmed yet. Ask the person to confirm it.",
    ),
    "contact_point_suppressed": Sentence(
        "Die Adresse oder Nummer ist gesperrt: Sie war nicht erreichbar, oder die Person hat abgemeldet. Bitte beim "
        "nächsten Kontakt eine neue erfragen.",
        "The address or number is blocked: it could not be reached, or the person opted out. Ask for a new one at the "
        "next contact.",
    ),
    "no_consent": Sentence(
        "Für diesen Kanal und Zweck liegt keine Einwilligung vor. Bitte die Person fragen, ob sie sie geben möchte; "
        "ihre Leistung hängt nicht davon ab.",
        "There is no consent for this channel and purpose. Ask whether the person wants to give it; their benefits do "
        "not depend on it.",
    ),
    "consent_withdrawn": Sentence(
        "Die Person hat ihre Einwilligung für diesen Kanal und Zweck widerrufen. Bitte einen anderen Weg wählen; nur "
        "sie selbst kann neu einwilligen.",
        "The person withdrew their consent for this channel and purpose. Choose another way; only they can give it "
        "again.",
    ),
    "no_channel": Sentence(
        "Für diese Person ist gar kein Kanal hinterlegt. Bitte Brief oder Portal nutzen.",
        "This person has no channel at all. Use a letter or the portal.",
    ),
}

_PROVIDER: dict[str, Sentence] = {
    "channel_error": Sentence(
        "Der Anbieter hat unverständlich geantwortet; ob die Nachricht hinausging, ist offen. Wir warten auf seine "
        "Rückmeldung. Wenn es eilt, bitte anrufen.",
        "The provider's answer was unclear; whether the message went out is open. We wait for its report. If it is "
        "urgent, call the person.",
    ),
    "throttled": Sentence(
        "Der Anbieter nimmt gerade nicht so viele Nachrichten an. Wir versuchen es von selbst wieder. Nichts zu tun.",
        "The provider takes fewer messages just now. We try again by ourselves; nothing to do.",
    ),
    "unavailable": Sentence(
        "Der Anbieter oder das Gerät war nicht erreichbar; es ging nichts hinaus. Wir versuchen es von selbst wieder, "
        "solange die Nachricht gültig ist; wenn es eilt, bitte anrufen.",
        "The provider or the device could not be reached; nothing went out. We try again by ourselves while the "
        "message is valid; if it is urgent, call the person.",
    ),
    "uncertain": Sentence(
        "Ob die Nachricht hinausging, ist offen: Die Antwort des Anbieters ging verloren. Wir warten auf seine "
        "Rückmeldung und wiederholen nichts blind. Wenn es eilt, bitte anrufen.",
        "Whether the message went out is open: the provider's answer was lost. We wait for its report and repeat "
        "nothing blindly. If it is urgent, call the person.",
    ),
    "misconfigured": Sentence(
        "Das Versandkonto ist gestört (Zugang, Absender oder Guthaben). Die Nachricht bleibt aufgehoben; bitte die "
        "Administration verständigen.",
        "The account does not work (access, sender or credit). The message is kept; tell the administrators.",
    ),
    "refused": Sentence(
        "Der Anbieter hat die Nachricht abgelehnt, ohne einen bekannten Grund zu nennen. Der nächste Kanal übernimmt; "
        "gibt es keinen, bitte einen anderen Weg wählen.",
        "The provider refused the message without a reason known to us. The next channel takes over; if there is "
        "none, choose another way.",
    ),
    "address_refused": Sentence(
        "Unter dieser Adresse oder Nummer ist die Person nicht erreichbar; sie ist jetzt gesperrt. Bitte beim nächsten "
        "Kontakt eine neue erfragen.",
        "The person cannot be reached at this address or number; it is now blocked. Ask for a new one at the next "
        "contact.",
    ),
    "opted_out": Sentence(
        "Die Person möchte hier keine Nachrichten: Sie hat uns abgemeldet oder blockiert. Das gilt ab sofort; bitte "
        "einen anderen Weg wählen.",
        "The person wants no messages here: they opted out or blocked us. This holds from now on; choose another way.",
    ),
    "content_refused": Sentence(
        "Der Anbieter hat den Text abgelehnt; die Adresse ist in Ordnung. Bitte die Vorlage ändern lassen und die "
        "Nachricht neu auslösen.",
        "The provider refused the text; the address is fine. Have the template changed and post the message again.",
    ),
    "window_closed": Sentence(
        "Die Person hat hier länger nicht geschrieben; freier Text ist deshalb nicht erlaubt. Der nächste Kanal "
        "übernimmt; gibt es keinen, bitte einen anderen Weg wählen.",
        "The person has not written here for a while, so free text is not allowed. The next channel takes over; if "
        "there is none, choose another way.",
    ),
    "unsupported": Sentence(
        "Der Text passt nicht auf diesen Kanal, meist weil er zu lang ist. Bitte die Vorlage für ihn kürzen lassen; "
        "der nächste Kanal übernimmt.",
        "The text does not fit this channel, mostly because it is too long. Have the template shortened for it; the "
        "next channel takes over.",
    ),
}

# What adapters say more narrowly, where the narrower word leads to another next step.
_NARROW: dict[str, Sentence] = {
    "greylisted": Sentence(
        "Der Mailserver der Person nimmt die Nachricht erst beim zweiten Versuch an. Wir versuchen es von selbst "
        "wieder; es ist nichts zu tun.",
        "The person's mail server accepts the message only at a second try. We try again by ourselves; nothing to do.",
    ),
    "mailbox_full": Sentence(
        "Das E-Mail-Postfach der Person ist voll. Wir versuchen es von selbst wieder; wenn es eilt, bitte anrufen.",
        "The person's mailbox is full. We try again by ourselves; if it is urgent, call the person.",
    ),
    "returned_full": Sentence(
        "Die E-Mail kam zurück: Das Postfach der Person blieb voll. Der nächste Kanal übernimmt; gibt es keinen, bitte "
        "anrufen.",
        "The mail came back: the person's mailbox stayed full. The next channel takes over; if there is none, call "
        "the person.",
    ),
    "returned_late": Sentence(
        "Die E-Mail kam zurück: Der Mailserver der Person war tagelang nicht bereit. Die Adresse bleibt nutzbar. Der "
        "nächste Kanal übernimmt; gibt es keinen, bitte anrufen.",
        "The mail came back: the person's mail server was not ready for days. The address stays in use. The next "
        "channel takes over; if there is none, call the person.",
    ),
    "returned": Sentence(
        "Die E-Mail kam zurück, ohne einen Grund, den wir kennen. Die Adresse bleibt nutzbar. Der nächste Kanal "
        "übernimmt; gibt es keinen, bitte einen anderen Weg wählen.",
        "The mail came back without a reason known to us. The address stays in use. The next channel takes over; if "
        "there is none, choose another way.",
    ),
    "not_mobile": Sentence(
        "Die Nummer gehört zu keinem Mobiltelefon; sie ist für diesen Kanal gesperrt. Bitte eine Handynummer erfragen.",
        "The number is not a mobile one; it is blocked for this channel. Ask for a mobile number.",
    ),
    "not_on_channel": Sentence(
        "Unter dieser Nummer hat die Person diesen Messenger nicht. Für andere Kanäle gilt die Nummer weiter; bitte "
        "nach dem gewünschten Kanal fragen.",
        "The person does not have this messenger under this number. The number stays good for other channels; ask "
        "which channel they want.",
    ),
    "never_started": Sentence(
        "Die Person hat den Chat mit uns noch nicht begonnen, und wir dürfen nicht zuerst schreiben. Bitte ihr den "
        "QR-Code oder Link geben.",
        "The person has not started the chat with us, and we may not write first. Have the QR code or link handed to "
        "them.",
    ),
    "country_not_enabled": Sentence(
        "Der Versand in dieses Land ist nicht freigeschaltet; die Nummer ist in Ordnung. Die Nachricht bleibt "
        "aufgehoben; bitte die Administration verständigen.",
        "Sending to this country is not enabled; the number is fine. The message is kept; tell the administrators.",
    ),
    "policy": Sentence(
        "Der Anbieter hat die Nachricht nach seinen eigenen Regeln abgelehnt; die Adresse ist in Ordnung. Bitte die "
        "Vorlage prüfen lassen und, wenn es eilt, einen anderen Weg wählen.",
        "The provider refused the message under its own rules; the address is fine. Have the template checked and, if "
        "it is urgent, choose another way.",
    ),
}

_STATES: dict[str, Sentence] = {
    "pending": Sentence(
        "Die Nachricht ist unterwegs, aber noch nicht beim Anbieter. Es ist nichts zu tun.",
        "The message is on its way and not yet with the provider. Nothing to do.",
    ),
    "queued": Sentence(
        "Die Nachricht wartet auf den Versand. Es ist nichts zu tun.",
        "The message waits for its turn. Nothing to do.",
    ),
    "claimed": Sentence(
        "Die Nachricht wird gerade vorbereitet; sie hat das Haus noch nicht verlassen. Es ist nichts zu tun.",
        "The message is being prepared and has not left the house. Nothing to do.",
    ),
    "sending": Sentence(
        "Die Nachricht wird gerade dem Anbieter übergeben. Es ist nichts zu tun.",
        "The message is being handed to the provider. Nothing to do.",
    ),
    "submitted": Sentence(
        "Der Anbieter hat die Nachricht angenommen, eine Ankunft ist nicht gemeldet; manche Kanäle melden nie eine. "
        "Es ist nichts zu tun.",
        "The provider took the message and has reported no arrival; some channels never do. Nothing to do.",
    ),
    "delivered": Sentence(
        "Die Nachricht ist vom Anbieter als zugestellt gemeldet. Es ist nichts zu tun.",
        "The provider reports the message as delivered. Nothing to do.",
    ),
    "failed": Sentence(
        "Die Nachricht kam auf diesem Weg nicht an. Der nächste Kanal übernimmt; gibt es keinen, bitte einen anderen "
        "Weg wählen.",
        "The message did not arrive this way. The next channel takes over; if there is none, choose another way.",
    ),
    "expired": Sentence(
        "Die Nachricht ging nicht mehr rechtzeitig hinaus und wäre jetzt nutzlos. Wenn sie noch wichtig ist, bitte die "
        "Person anrufen oder neu auslösen.",
        "The message did not go out in time and would be useless now. If it still matters, call the person or post it "
        "again.",
    ),
    "cancelled": Sentence(
        "Das Fachverfahren hat die Nachricht zurückgezogen, bevor sie hinausging. Es ist nichts zu tun.",
        "The requesting service cancelled the message before it went out. Nothing to do.",
    ),
    "skipped": Sentence(
        "Auf diesem Weg wurde bewusst nichts gesendet. Der Grund steht dabei; gibt es keinen anderen Kanal, bitte "
        "Brief oder Portal nutzen.",
        "Nothing was sent this way on purpose. The reason stands beside it; if there is no other channel, use a letter "
        "or the portal.",
    ),
}

_OURS: dict[str, Sentence] = {
    "accepted": Sentence(
        "Der Auftrag ist angenommen und sicher gespeichert. Es ist nichts zu tun.",
        "The request is accepted and safely stored. Nothing to do.",
    ),
    "not_needed": Sentence(
        "Dieser Ersatzkanal wurde nicht gebraucht, weil ein anderer die Nachricht nahm. Es ist nichts zu tun.",
        "This fall-back was not needed because another channel took the message. Nothing to do.",
    ),
    "retry_retry": Sentence(
        "Ein Versuch hat nicht geklappt, der nächste ist eingeplant. Es ist nichts zu tun.",
        "An attempt failed and the next one is scheduled. Nothing to do.",
    ),
    "retry_wait": Sentence(
        "Die Nachricht wartet, bis das Versandkonto wieder frei ist. Es ist nichts zu tun.",
        "The message waits until the account is free again. Nothing to do.",
    ),
    "lease_lapsed": Sentence(
        "Die Bearbeitung wurde unterbrochen und geht von selbst weiter. Wenn es eilt, bitte anrufen.",
        "The work on it was interrupted and goes on by itself. If it is urgent, call the person.",
    ),
    "cancel_asked": Sentence(
        "Das Fachverfahren will die Nachricht zurückziehen; was noch im Haus ist, geht nicht hinaus. Nichts zu tun.",
        "The requesting service wants to cancel; what is still in the house will not go out. Nothing to do.",
    ),
    "answered": Sentence(
        "Die Person hat mit einer Schaltfläche geantwortet. Bitte die Antwort im Fachverfahren ansehen.",
        "The person answered with a button. Check the answer in the requesting service.",
    ),
    "escalated": Sentence(
        "In der vorgesehenen Zeit kam keine Bestätigung; der nächste Kanal hat übernommen. Nichts zu tun.",
        "No confirmation came in the time set for it; the next channel has taken over. Nothing to do.",
    ),
    "also_delivered": Sentence(
        "Die Nachricht ist verspätet auch auf diesem Kanal angekommen. Nichts zu tun.",
        "The message has also arrived on this channel, late. Nothing to do.",
    ),
    "requeued": Sentence(
        "Die Vorbereitung wurde unterbrochen, bevor etwas hinausging; sie beginnt von selbst neu. Nichts zu tun.",
        "Preparation was interrupted before anything went out; it starts again by itself. Nothing to do.",
    ),
    "gave_up": Sentence(
        "Bis die Nachricht ungültig wurde, war kein Versuch erfolgreich. Bitte einen anderen Weg wählen.",
        "No attempt succeeded until the message ran out. Choose another way.",
    ),
    "unconfirmed": Sentence(
        "Ob die Nachricht hinausging, ließ sich nicht mehr klären; sie wurde nicht noch einmal gesendet. Bitte die "
        "Person anrufen, wenn es wichtig ist.",
        "It could not be found out whether the message went out; it was not sent again. Call the person if it matters.",
    ),
    "stopped_content": Sentence(
        "Der Anbieter hat den Text abgelehnt, deshalb gehen auch die Ersatzkanäle nicht hinaus. Bitte die Vorlage "
        "ändern lassen und die Nachricht neu auslösen.",
        "The provider refused the text, so the fall-backs do not go out either. Have the template changed and post the "
        "message again.",
    ),
    "blocked_by_lint": Sentence(
        "Der fertige Text enthält ein Wort, das hier nicht stehen darf. Bitte die übergebenen Werte prüfen und die "
        "Nachricht neu auslösen.",
        "The finished text contains a word that must not appear here. Check the values handed over and post the "
        "message again.",
    ),
    "account_gone": Sentence(
        "Das eingeplante Versandkonto gibt es nicht mehr. Der nächste Kanal übernimmt; bitte die Administration "
        "verständigen.",
        "The planned account no longer exists. The next channel takes over; tell the administrators.",
    ),
    "contact_point_gone": Sentence(
        "Die Adresse oder Nummer wurde nach der Planung gelöscht. Bitte beim nächsten Kontakt eine neue erfragen.",
        "The address or number was removed after planning. Ask for a new one at the next contact.",
    ),
}

SENTENCES: Mapping[str, Sentence] = MappingProxyType(
    {**_PLAN, **_PROVIDER, **_NARROW, **_STATES, **_OURS, **STAFF, **ACCOUNTS}
)
_WORDS = {
    "address_refused": "no_such_number no_such_mailbox mailbox_disabled blocked_or_filtered deactivated no_such_chat "
    "is_bot not_private",
    "opted_out": "blocked kicked",
    "content_refused": "too_long too_large empty media template content filtered markup buttons link not_supported "
    "unsayable",
    "refused": "address_or_content no_route recipient_limit no_such_domain unknown_code unknown_reply unknown_text "
    "failed_without_code",
    "unavailable": "queue_full not_reachable unknown_to_carrier provider_down not_now not_reached garbled",
    "throttled": "reply_loop",
    "uncertain": "unreadable_answer",
    "misconfigured": "credentials account_suspended quota sender channel_set_up trial_account callback_url "
    "relay_refuses_us relay_denied webhook base_url polled_elsewhere certificate not_offered internal client",
    "answered": " ".join(f"button_{number}" for number in range(10)),
}
# Narrower words that need no sentence of their own: a caseworker does the same as for the wider one.
WIDER: Mapping[str, str] = MappingProxyType({word: wide for wide, words in _WORDS.items() for word in words.split()})
# Narrower words with a sentence of their own, and the class of error they are raised as where it is always the same.
_CLASSES = {
    "greylisted": "unavailable",
    "mailbox_full": "unavailable",
    "not_mobile": "address_refused",
    "not_on_channel": "address_refused",
    "never_started": "address_refused",
    "country_not_enabled": "misconfigured",
    "unconfirmed": "uncertain",
}
_UNKNOWN = Sentence(
    "Zu diesem Schlüssel gibt es noch keine Erklärung: {code}. Bitte der Administration nennen.",
    "There is no explanation for this code yet: {code}. Report it to the administrators.",
)


def explain(code: str, language: str = "de") -> str:
    """Return the sentence for ``code``: English for "en" and its regions, German for every other language.

    An unknown code (a third party's adapter may bring its own) is shown as it is inside a general sentence.
    """
    said = SENTENCES.get(WIDER.get(code, code), _UNKNOWN)
    text = said.en if language.partition("-")[0].lower() == "en" else said.de
    return text.replace("{code}", code)


def class_of(code: str) -> str:
    """Return the class of error that ``code`` belongs to; a word that belongs to none stands for itself."""
    return WIDER.get(code) or _CLASSES.get(code, code)


def codes_of(wide: str) -> frozenset[str]:
    """Return every code of ours in the class of error ``wide``, itself included."""
    return frozenset({wide, *(code for code in (*WIDER, *_CLASSES) if class_of(code) == wide)})
