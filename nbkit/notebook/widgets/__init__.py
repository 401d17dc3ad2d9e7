"""One stem per widget: x.py, x.js, x.css; no build step."""
