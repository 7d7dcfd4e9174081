"""What people use instead of the service, and the ceiling: the same Falcon and gunicorn with nothing behind them."""
