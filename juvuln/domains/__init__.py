"""Domains: their databases, the file that lists them, and what is known of their programs."""
