"""Text to clean HTML and SVG; no Jupyter."""
