"""Which answer is better: votes, rankings with intervals, differences between texts."""
