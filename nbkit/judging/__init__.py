"""Judgements of answers: votes, and rankings with intervals."""
