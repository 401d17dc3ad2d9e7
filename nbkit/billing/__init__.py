"""Money: rates, bills and sums."""
