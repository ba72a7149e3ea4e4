"""juvuln, the Program Manager of Self-host.

Reads all domains for their active programs, runs routines on their schedule and webhooks when called, hands out
modules, and assigns the work to workers over HTTP. Every run is on record before it is dispatched.
"""
