"""Nouns and rules: pure functions and frozen values. No clock, no I/O, no dice."""
