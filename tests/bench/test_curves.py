import json
from xml.etree import ElementTree

from bench.curves import Curve, point, svg, to_json

CURVE = Curve(
    "callers", "Tasks & callers", "callers", "/s", [point(1, [10.0, 12.0, 11.0]), point(10, [50.0]), point(100, [90.0])]
)


def test_a_point_is_the_median_of_its_rounds_with_the_least_and_the_most() -> None:
    assert (CURVE.points[0].value, CURVE.points[0].spread) == (11.0, (10.0, 12.0))


def test_a_plot_has_a_dot_for_each_point_and_logarithmic_distances() -> None:
    dots = [each for each in ElementTree.fromstring(svg(CURVE)) if each.tag.endswith("circle")]
    across = [float(each.attrib["cx"]) for each in dots]
    assert len(dots) == 3
    assert abs((across[1] - across[0]) - (across[2] - across[1])) < 0.2
    heights = [float(each.attrib["cy"]) for each in dots]
    assert heights == sorted(heights, reverse=True)  # y counts downwards


def test_a_plot_of_a_single_point_at_zero_can_be_drawn() -> None:
    assert ElementTree.fromstring(svg(Curve("x", "x", "x", "s", [point(5, [0.0])]))) is not None


def test_the_data_beside_the_plot_is_json() -> None:
    assert json.loads(to_json([CURVE]))[0]["points"][0] == {"at": 1, "value": 11.0, "spread": [10.0, 12.0]}
