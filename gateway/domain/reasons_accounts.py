"""Sentences for what accounts in trouble, and limits of a day, do to messages.

Words only; part of gateway.domain.reasons, which explains every code. (German, English).
"""

from __future__ import annotations

from gateway.domain.sentence import Sentence

ACCOUNTS: dict[str, Sentence] = {
    "account_changed": Sentence(
        "Das eingeplante Versandkonto ist gestört; die Nachricht nimmt ein anderes Konto des Kanals. Nichts zu tun.",
        "The planned account is in trouble; the message takes another account of the channel. Nothing to do.",
    ),
    "account_down": Sentence(
        "Das Versandkonto ist länger gestört; der nächste Kanal hat übernommen. Es ist nichts zu tun.",
        "The account has been in trouble for a while; the next channel has taken over. Nothing to do.",
    ),
    "account_rests": Sentence(
        "Das Versandkonto ruht; die Nachricht geht hinaus, sobald es wieder sendet. Wenn es eilt, bitte anrufen.",
        "The account rests; the message goes out as soon as it sends again. If it is urgent, call the person.",
    ),
    "daily_limit": Sentence(
        "Dieser Kanal darf heute nicht mehr; ein anderer übernimmt, oder es wird später. Wenn es eilt, bitte anrufen.",
        "This channel may carry no more today; another takes over, or it gets later. If it is urgent, call the person.",
    ),
}
