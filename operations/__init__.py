"""What operators type: `top`, a live screen, and `demo`, a flash sale played and drawn."""
