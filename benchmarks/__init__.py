"""Measured claims: programs that measure or break the gateway from outside. They need a checkout."""
