"""The wheel carries libtengo.so, so its tag names the platform that the library was built for."""

import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PlatformTag(BuildHookInterface[Any]):
    """Tags a wheel ``py3-none-PLATFORM``: any Python 3, no Python ABI, this platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        if not (Path(self.root) / "tengo_bridge" / "libtengo.so").is_file():
            raise FileNotFoundError("tengo_bridge/libtengo.so is not built; run `make build` first")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
