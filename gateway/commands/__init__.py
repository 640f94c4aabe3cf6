"""The verbs of the command line, one room a module; gateway.cli puts them together."""
