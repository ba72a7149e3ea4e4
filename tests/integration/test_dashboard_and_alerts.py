"""The dashboard and the alerts ask for figures and labels that the daemons really have."""

import json
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.installation import Installation
from tests.support.metrics import samples
from tests.support.promql import grouping_labels, selectors

PROJECT = Path(__file__).parents[2]
DASHBOARD = json.loads((PROJECT / "deploy" / "grafana" / "selfhost-programs.json").read_text(encoding="utf-8"))
ALERTS = PROJECT / "deploy" / "prometheus" / "alerts.yaml"
ALERTS_TEST = PROJECT / "tests" / "deploy" / "alerts_test.yaml"
RULES: Sequence[Mapping[str, Any]] = [
    rule for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]
]
JOBS = {
    job["job_name"]
    for job in yaml.safe_load((PROJECT / "deploy" / "prometheus" / "scrape.yaml").read_text())["scrape_configs"]
}
PROMTOOL = shutil.which("promtool")
OPERATIONS = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
HOOK = 'cgi := import("cgi")\ncgi.response.write("here")\n'

Known = Mapping[str, Mapping[str, set[str]]]
"""The values of each label, by the name of the figure."""


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression, after where it is."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield f"panel {panel['title']}", target["expr"]
    for annotation in DASHBOARD["annotations"]["list"]:
        yield f"annotation {annotation['name']}", annotation["expr"]
    for rule in RULES:
        yield f"alert {rule['alert']}", rule["expr"]


def faults(expression: str, known: Known) -> Iterator[str]:
    labels = {"instance", "job"}
    for selector in selectors(expression):
        if selector.name not in known:
            yield f"there is no figure {selector.name}"
            continue
        labels |= known[selector.name].keys()
        for label, (sign, value) in selector.matchers.items():
            if label not in known[selector.name]:
                yield f"{selector.name} has no label {label}"
            elif "$" not in value:
                wanted = value.split("|") if "~" in sign else [value]
                yield from (
                    f"{selector.name} has no {label} {each}"
                    for each in wanted
                    if each not in known[selector.name][label]
                )
    yield from (f"nothing in it has a label {label}" for label in grouping_labels(expression) - labels)


async def known_figures(installation: Installation) -> Known:
    """What both daemons tell, once there is something to tell, and what Prometheus adds."""
    domain = await installation.add_domain("test")
    uuid = await domain.add("hook", HOOK)
    _, worker = await installation.start()
    assert (await installation.webhook(uuid)).status == 200
    known: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for url in (None, worker.url):
        for sample in await samples(installation, url):
            known[sample.name]["job"] |= JOBS
            for label, value in sample.labels.items():
                known[sample.name][label].add(value)
    return known | {"up": {"job": JOBS}}


async def test_every_expression_asks_for_what_there_is_and_the_page_explains_it(installation: Installation) -> None:
    known = await known_figures(installation)
    ours = {re.sub(r"_(bucket|count|sum)$", "", name) for name in known if name.startswith(("juvuln", "malgomaj"))}
    assert [name for name in sorted(ours) if f"`{name}" not in OPERATIONS] == []
    asked = list(expressions())
    assert len(asked) > 60
    assert [f"{where}: {fault}" for where, expression in asked for fault in faults(expression, known)] == []


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("rate(juvuln_nothing_total[5m])", "there is no figure juvuln_nothing_total"),
        ('juvuln_runs_total{result="x"}', "juvuln_runs_total has no label result"),
        ('juvuln_runs_total{outcome=~"lost|gone"}', "juvuln_runs_total has no outcome gone"),
        ("sum by (outcome, domain) (juvuln_runs_total)", "nothing in it has a label domain"),
    ],
)
def test_what_is_not_there_is_found(expression: str, fault: str) -> None:
    assert list(faults(expression, {"juvuln_runs_total": {"outcome": {"lost"}}})) == [fault]


def test_the_variable_of_the_dashboard_is_a_label() -> None:
    (variable,) = (each for each in DASHBOARD["templating"]["list"] if each["type"] == "query")
    assert re.fullmatch(r"label_values\((\w+), domain\)", variable["definition"])
    assert variable["definition"] == variable["query"]["query"]


def test_every_panel_says_what_it_shows_and_stands_beside_the_others() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["type"] == "row" or panel["description"], panel["title"]
        place = panel["gridPos"]
        fields = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in fields) < 24, panel["title"]
        assert not fields & taken, panel["title"]
        taken |= fields
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for rule in RULES:
        assert rule["labels"]["severity"] in ("warning", "critical"), rule["alert"]
        assert rule["annotations"].keys() == {"summary", "description"}, rule["alert"]
        assert f"`{rule['alert']}`" in OPERATIONS
        assert f'"{rule["alert"]}"' in ALERTS_TEST.read_text(encoding="utf-8")


@pytest.mark.skipif(PROMTOOL is None, reason="promtool, which comes with Prometheus, is not on the PATH")
def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    for file in (ALERTS, ALERTS_TEST):
        shutil.copy(file, tmp_path)
    for arguments in (("check", "rules", ALERTS.name), ("test", "rules", ALERTS_TEST.name)):
        done = subprocess.run(
            [str(PROMTOOL), *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
