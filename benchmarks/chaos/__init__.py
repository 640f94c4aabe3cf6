"""Break the gateway on purpose while it works, and compare afterwards what was promised with what happened."""
