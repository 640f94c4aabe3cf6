"""What tests share: servers, clock, waiting, seeds. Fixtures are in ``tests/conftest.py``."""
