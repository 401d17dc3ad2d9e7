"""Moving bytes, knowing nothing of models."""
