"""A folder of programs, made so in a domain (`juvuln program push`), and a domain written into one (`pull`)."""
