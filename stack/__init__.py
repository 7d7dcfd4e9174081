"""Private MySQL and Redis servers and the service that uses them, for development, tests and benchmarks."""
