"""The record of runs: what was due, what became of it, and why. It is the manager's own database."""
