"""Who serves a model, where, and what they tolerate."""
