"""Providers: how a model is reached, and what it accepts."""
