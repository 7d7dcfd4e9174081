"""A private MySQL and Redis, and the service on top of them, for development, tests and the demo."""
