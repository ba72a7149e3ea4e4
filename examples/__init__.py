"""Programs to learn from, and the demo that `make run` starts with them."""
