"""What a module of a domain may be called, so that `import("…")` finds it."""

import re

BUILTIN_MODULES = frozenset(
    ("base64", "cgi", "enum", "fmt", "hex", "http", "json", "log", "math", "os", "rand", "text", "times")
)
"""The modules that every program has, and `os`, which none has: these names never lead to a module of the domain."""

MODULE_NAME = rf"^(?!(?:{'|'.join(sorted(BUILTIN_MODULES))})$)(?!.*[.]tengo$)[^@\x00-\x1f\x7f./][^@\x00-\x1f\x7f]*$"
"""The same as :func:`module_name_fault`, as a regular expression for the description of the API."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def module_name_fault(name: str) -> str | None:
    """Why a module of that name could not be imported; None if it could be."""
    if not name:
        return "a module needs a name"
    if "@" in name:
        return "the name of a module holds no @, for what follows it is the revision"
    if name in BUILTIN_MODULES:
        return f"import({name!r}) is a module that every program has, or none may have"
    if _CONTROL.search(name):
        return "the name of a module holds no control characters"
    if name[0] in "./" or name.endswith(".tengo"):
        return (
            "the name of a module does not begin with . or / and does not end in .tengo: it would be taken for a file"
        )
    return None
