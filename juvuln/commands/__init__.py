"""The commands of juvuln beside the daemon itself. Each imports what it works with when it is called, to start fast."""
