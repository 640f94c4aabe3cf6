"""Local stand-ins for the providers: SMTP, Telegram Bot API and Twilio API on loopback, and a page with the phones.

A program of its own (``python -m channels.sandbox``). It imports nothing of the gateway and nothing of the adapters, so
that it cannot share their mistakes; everything it keeps is in memory, bounded, and gone when it ends.
"""
