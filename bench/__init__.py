"""Benchmarks: what is promised as a speed is measured here, and written to bench/results.json."""
