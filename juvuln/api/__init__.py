"""The manager's HTTP API: who is asking, what they ask for, and the answer. The work is done elsewhere."""
