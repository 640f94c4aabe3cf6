"""All HTTP that comes in: parse, call one verb, map the answer. No rule of the house lives here."""
