"""From the results to what people read: a line on the terminal, and the tables of docs/performance.md."""

import os
import platform
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench import bars
from bench.curves import Curve, svg
from bench.rows import TARGETS, Row, to_json
from bench.tools import BENCH

LATEST = BENCH / "results" / "latest.json"
DOCUMENT = BENCH.parent / "docs" / "performance.md"
PLOTS = DOCUMENT.with_suffix("")
"""The folder of the plots that it shows."""
PLOT = "![How the results compare with what must be](performance/results.svg)"


def line(row: Row) -> str:
    """For the terminal."""
    judged = "" if row.met is None else f"  {_verdict(row)} (must {row.must:g}, aim {row.aim:g})"
    least, most = row.spread
    return f"{row.name:<27} {row.value:>10g} {row.unit:<3} ({least:g} to {most:g}, {row.rounds} rounds){judged}"


def publish(rows: Sequence[Row]) -> None:
    """Write the results, and the document's tables and plot from them."""
    LATEST.parent.mkdir(exist_ok=True)
    PLOTS.mkdir(exist_ok=True)
    (PLOTS / "results.svg").write_text(bars.svg(rows), encoding="utf-8")
    LATEST.write_text(to_json(rows), encoding="utf-8")
    judged = table([each for each in rows if each.met is not None])
    fill("machine", machine())
    fill("results", "\n".join([judged, *missing(rows), "", PLOT]))
    fill("beside", table([each for each in rows if each.met is None]))


def draw(curves: Iterable[Curve]) -> str:
    """Write the plots, and give the lines of the document that show them."""
    PLOTS.mkdir(exist_ok=True)
    images = []
    for each in curves:
        (PLOTS / f"{each.name}.svg").write_text(svg(each), encoding="utf-8")
        images.append(f"![{each.title}, over {each.over}](performance/{each.name}.svg)")
    return "\n\n".join(images)


def fill(name: str, content: str) -> None:
    """Write this content into the document's place of that name. LookupError if it has none."""
    DOCUMENT.write_text(put(DOCUMENT.read_text(encoding="utf-8"), name, content), encoding="utf-8")


def put(text: str, name: str, content: str) -> str:
    """The text with this content between the marks of that name. LookupError if they are not there."""
    marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    if not marked.search(text):
        raise LookupError(f"the document has no place marked {name}")
    return marked.sub(lambda found: f"{found[1]}{content}\n{found[2]}", text)


def table(rows: Sequence[Row]) -> str:
    """In Markdown; must and aim only where there are such."""
    judged = any(row.met is not None for row in rows)
    head = ["what", "median", "spread", *(["must", "aim", ""] if judged else [])]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for row in rows:
        least, most = row.spread
        cells = [TARGETS[row.name].what, f"**{row.value:g}** {row.unit}", f"{least:g} to {most:g}"]
        if judged:
            cells += [f"{row.must:g}", f"{row.aim:g}", _verdict(row)]
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def missing(rows: Sequence[Row]) -> Sequence[str]:
    """Lines of that table for what is asked for and was not measured."""
    found = {row.name for row in rows}
    asked = [target for target in TARGETS.values() if target.must is not None and target.name not in found]
    return [f"| {each.what} | | | {each.must:g} | {each.aim:g} | not measured |" for each in asked]


def machine() -> str:
    """One sentence on what was measured on."""
    system = platform.uname()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{os.cpu_count()} processors ({_processor(Path('/proc/cpuinfo'))}), {memory:.0f} GB, {system.system} "
        f"{system.release}, Python {platform.python_version()}. Load averages at the end of the run: "
        f"{', '.join(f'{load:.1f}' for load in os.getloadavg())}."
    )


def _processor(cpuinfo: Path) -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _verdict(row: Row) -> str:
    return "aim reached" if row.aimed else "met" if row.met else "**not met**"
