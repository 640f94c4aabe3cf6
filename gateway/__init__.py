"""Botengang: a self-hosted multichannel notification gateway."""
