"""What decides what you pay."""
