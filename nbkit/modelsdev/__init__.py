"""The data of models.dev: which models exist."""
