"""Baselines: what the service is compared with. docs/PERFORMANCE.md lists them."""
