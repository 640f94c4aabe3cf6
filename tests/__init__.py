"""A package only so that ``tests.support`` can be imported; the test files are found by pytest."""
