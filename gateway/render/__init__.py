"""Rendering: a template version and values become one Message. No I/O but its own layout files, no clock, no store."""
