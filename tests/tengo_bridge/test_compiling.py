"""What is a module."""

import pytest

from tengo_bridge.compiling import is_module


@pytest.mark.parametrize(
    "code",
    [b"export {}", b"x := 1\nexport x", b"x := 1; export x", b"/* a */ export func() {}", b"x := '\"'\nexport 1"],
)
def test_an_export_makes_a_module(code: bytes) -> None:
    assert is_module(code)


@pytest.mark.parametrize(
    "code",
    [
        b"",
        b"exports := 1",
        b"// export 1",
        b"/* export\n1 */",
        b'x := "export"',
        b"x := `\nexport 1\n`",
        b'"\\" export"',
    ],
)
def test_the_word_in_a_comment_string_or_name_makes_none(code: bytes) -> None:
    assert not is_module(code)
