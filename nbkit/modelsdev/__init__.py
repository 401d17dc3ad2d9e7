"""What models exist."""
