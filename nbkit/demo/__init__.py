"""A simulated provider on 127.0.0.1, whose five models each speak another protocol."""
