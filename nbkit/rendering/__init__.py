"""Text as clean HTML and SVG, without Jupyter."""
