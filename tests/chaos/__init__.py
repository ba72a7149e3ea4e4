"""Chaos: a hundred routines, both daemons, and everything that can go wrong around them, judged by what is left behind.

``python -m tests.chaos`` is one round. What is to be judged is in :mod:`tests.chaos.evidence`, the judge in
:mod:`tests.chaos.checker`; it shares no scheduling code with the manager.
"""
