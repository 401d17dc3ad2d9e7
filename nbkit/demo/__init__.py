"""A provider on 127.0.0.1 that speaks every protocol, simulated."""
