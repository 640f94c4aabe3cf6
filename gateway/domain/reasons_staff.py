"""Sentences for what people decide about messages that got stuck: dead letters, held texts, purged values.

Words only; part of gateway.domain.reasons, which explains every code.
"""

from __future__ import annotations

from gateway.domain.sentence import Sentence

STAFF: dict[str, Sentence] = {
    "template_withdrawn": Sentence(
        "Die Vorlage wurde zurückgezogen, bevor die Nachricht hinausging. Sie ist angehalten, bis entschieden ist, ob "
        "sie mit einer neuen Fassung hinausgeht. Bitte nicht neu auslösen, sondern die zuständige Redaktion fragen.",
        "The template was withdrawn before the message went out. It is held until somebody decides whether it goes out "
        "with a new version. Do not post it again; ask the editors.",
    ),
    "held": Sentence(
        "Die Nachricht ist angehalten, bis über ihre Vorlage entschieden ist. Wenn es eilt, bitte die Person anrufen.",
        "The message is held until its template is decided upon. If it is urgent, call the person.",
    ),
    "released": Sentence(
        "Die angehaltene Nachricht geht mit einer anderen Fassung der Vorlage weiter. Es ist nichts zu tun.",
        "The held message goes on with another version of its template. Nothing to do.",
    ),
    "cancelled_by_staff": Sentence(
        "Die Behörde hat die Nachricht gestoppt, bevor sie hinausging. Wenn ihr Inhalt noch gilt, bitte mit einer "
        "freigegebenen Fassung neu auslösen.",
        "Staff stopped the message before it went out. If what it says still holds, post it again with an approved "
        "version.",
    ),
    "requeued_by_staff": Sentence(
        "Die gescheiterte Nachricht wurde von Hand noch einmal zum Versand gegeben. Es ist nichts zu tun.",
        "Staff gave the failed message to be sent once more. Nothing to do.",
    ),
    "requeued_by_client": Sentence(
        "Das Fachverfahren hat die gescheiterte Nachricht noch einmal zum Versand gegeben. Es ist nichts zu tun.",
        "The requesting service gave the failed message to be sent once more. Nothing to do.",
    ),
    "closed_by_staff": Sentence(
        "Die gescheiterte Nachricht wurde von Hand abgeschlossen; sie wird nicht mehr gesendet. Wenn sie noch wichtig "
        "ist, bitte die Person anrufen.",
        "Staff closed the failed message; it will not be sent any more. If it still matters, call the person.",
    ),
    "closed_by_client": Sentence(
        "Das Fachverfahren hat die gescheiterte Nachricht abgeschlossen; sie wird nicht mehr gesendet. Nichts zu tun.",
        "The requesting service closed the failed message; it will not be sent any more. Nothing to do.",
    ),
    "values_purged": Sentence(
        "Die Angaben für diese Nachricht sind nach der Aufbewahrungsfrist gelöscht; sie kann nicht mehr gesendet "
        "werden. Bitte neu auslösen, wenn sie noch wichtig ist.",
        "The values for this message were deleted after their retention period; it cannot be sent any more. Post it "
        "again if it still matters.",
    ),
    "may_be_twice": Sentence(
        "Diese Nachricht ist vielleicht schon angekommen, und ihre Vorlage erlaubt keine zweite. Bitte zuerst die "
        "Person fragen; nur wer eine doppelte Nachricht in Kauf nimmt, sendet sie ausdrücklich noch einmal.",
        "This message may have arrived already, and its template allows no second one. Ask the person first; only who "
        "accepts a double message sends it again, and says so.",
    ),
    "not_a_dead_letter": Sentence(
        "Diese Nachricht ist nicht (mehr) gescheitert: Sie ist unterwegs, angenommen oder erledigt. Nichts zu tun.",
        "This message is no dead letter (any more): it is on its way, taken or closed. Nothing to do.",
    ),
}
