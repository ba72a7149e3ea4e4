"""malgomaj, the Program Worker of Self-host.

Takes tasks over HTTP, compiles and caches their programs, and runs them in executors: child processes, one per domain,
so that nothing that a program does reaches another domain or the worker itself. To follow one run, start in
``malgomaj.tasks``.
"""
