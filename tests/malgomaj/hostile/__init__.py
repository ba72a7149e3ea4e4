"""Programs that mean harm, the server that helps them, and what must come of them."""
