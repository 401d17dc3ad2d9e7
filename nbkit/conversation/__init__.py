"""Conversations, options and completions: values only, no I/O."""
