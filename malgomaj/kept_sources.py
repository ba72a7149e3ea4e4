"""Source code that came with tasks, kept so that it need not come again.

Each domain has its own: a digest that another domain's source code is kept under means nothing.
"""

import hashlib

from malgomaj.errors import SourceNeeded, WrongDigest
from malgomaj.shelves import Shelves
from shared.wire import Task

MAX_KEPT_SOURCES = 65_536


class KeptSources:
    def __init__(self, max_bytes: int) -> None:
        self._shelves: Shelves[str, bytes] = Shelves(MAX_KEPT_SOURCES, max_bytes)

    @property
    def kept_bytes(self) -> int:
        return self._shelves.bytes

    def code_of(self, task: Task) -> bytes:
        """The source code of a task, which is kept if it came with its digest.

        Raises SourceNeeded if there is no source code for the digest, WrongDigest if it is not that of what came.
        """
        if task.source_digest is None:
            return task.source_code
        if task.source_code:
            self._keep(task.domain, task.source_digest, task.source_code)
            return task.source_code
        code = self._shelves.get(task.domain, task.source_digest)
        if code is None:
            raise SourceNeeded("the source code of this digest is not kept here; send it again")
        return code

    def _keep(self, domain: str, digest: str, code: bytes) -> None:
        if hashlib.sha256(code).hexdigest() != digest:
            raise WrongDigest("source_digest: is not the SHA-256 of source_code")
        self._shelves.put(domain, digest, code, len(code))
