"""Channel adapters: one file for each provider and channel, all behind :mod:`channels.kit`.

Adapters know the kit only. The gateway finds them by entry point, never by import.
"""
