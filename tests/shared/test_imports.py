"""How modules are called where they are imported."""

import pytest

from shared.imports import UnusableImport, parse_import


@pytest.mark.parametrize(
    ("text", "name", "revision"),
    [
        ("simplemath", "simplemath", "latest"),
        ("simplemath@latest", "simplemath", "latest"),
        ("simplemath@0", "simplemath", "0"),
        ("simplemath@12", "simplemath", "12"),
        ("a.b-c_d@007", "a.b-c_d", "7"),
    ],
)
def test_an_import_names_a_module_and_a_revision(text: str, name: str, revision: str) -> None:
    assert parse_import(text) == (name, revision)


@pytest.mark.parametrize("text", ["", "@1", "a@", "a@newest", "a@-1", "a@1@2", "a@1.0", "a@9999999999999999999"])
def test_an_import_that_names_none_is_refused(text: str) -> None:
    with pytest.raises(UnusableImport):
        parse_import(text)
