"""Benchmarks: the service beside its baselines, or beside the service of another commit. Run by script/bench."""
