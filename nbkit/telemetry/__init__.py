"""Whom a call is told to: the log, functions of the user, OpenTelemetry."""
