"""One call, start to finish."""
