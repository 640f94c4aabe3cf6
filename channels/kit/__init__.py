"""The port: everything an author of a channel adapter imports, and nothing of the gateway.

Start with :mod:`channels.kit.contract`; errors are in :mod:`channels.kit.errors`.
"""
