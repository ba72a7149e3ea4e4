"""Measurements of the daemons as they ship: processes of their own, spoken to over HTTP."""
