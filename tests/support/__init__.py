"""What the tests share: real daemons as processes, real databases, waiting with a limit."""
