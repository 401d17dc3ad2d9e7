"""The catalog as a person sees it."""
