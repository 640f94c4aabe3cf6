"""The demonstration: 1,300 recipients, one notification each, over the public API to local stand-ins.

It is a settings profile and a client of the public API; nothing in the gateway knows that it runs.
"""
