"""Benchmarks: `python -m benchmarks` prints what nbkit costs in CPU time, each beside a baseline of the same run.

One file per subject, each with a function `measure` that yields rows. `python -m benchmarks catalog search` runs two of
them. No test asserts a time: what is slow here today may be quick on another machine, so the numbers are for reading.
"""
