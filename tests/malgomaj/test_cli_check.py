"""`malgomaj check`: what is wrong with a program, and where."""

import json
from pathlib import Path

import pytest

from tests.support.commands import MalgomajCommand

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


async def test_good_files_are_called_good(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(routine='log := import("log")\nlog.info("hello")\n', library="export {one: 1}\n")
    said = await malgomaj("check", "routine.tengo", "library.tengo")
    assert (said.status, said.text, said.err) == (0, "routine.tengo: good\nlibrary.tengo: good\n", "")


async def test_an_error_is_shown_with_its_place_its_line_and_a_caret(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(greet='if true {\n\tx := "äö日" + json.x\n}\n')
    said = await malgomaj("check", "greet.tengo")
    assert (said.status, said.text) == (1, "")
    assert said.err == (
        "greet.tengo:2:19: compile error: unresolved reference 'json'\n"
        '        x := "äö日" + json.x\n'
        "                      ^\n"
    )


async def test_all_files_are_checked_though_one_is_wrong(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(first="x = 1", second="x := 1", third="x := ")
    said = await malgomaj("check", "first.tengo", "second.tengo", "third.tengo")
    assert (said.status, said.text) == (1, "second.tengo: good\n")
    assert said.err.startswith(
        "first.tengo:1:1: compile error: unresolved reference 'x'\n    x = 1\n    ^\nthird.tengo:1:"
    )


async def test_a_file_that_exports_is_compiled_as_a_module(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(library="export {\n\tadd: func(a, b) { return a + c }\n}\n")
    said = await malgomaj("check", "library.tengo")
    assert said.status == 1
    assert said.err == (
        "library.tengo:2:31: compile error: unresolved reference 'c'\n"
        "        add: func(a, b) { return a + c }\n"
        "                                     ^\n"
    )


async def test_modules_that_are_not_supplied_are_told_each_with_its_line_and_the_option(
    malgomaj: MalgomajCommand,
) -> None:
    malgomaj.write(use='a := import("a")\nb := import("b@2")\nc := import("c d@latest")\n', a='export import("e")')
    said = await malgomaj("check", "use.tengo", "--module", "b=a.tengo")
    assert said.status == 1
    assert [line for line in said.err.splitlines() if "error" in line] == [
        "use.tengo:1:6: compile error: module 'a' is not supplied; say where it is: --module a=PATH",
        "use.tengo:2:6: compile error: module 'b@2' is not supplied; say where it is: --module b@2=PATH",
        "use.tengo:3:6: compile error: module 'c d@latest' is not supplied; say where it is: --module 'c d=PATH'",
    ]
    supplied = ("--module", "a=a.tengo", "--module", "b@2=a.tengo", "--module", "c d=a.tengo")
    said = await malgomaj("check", "use.tengo", *supplied)
    assert said.err.startswith("a:1:8 (a.tengo): compile error: module 'e' is not supplied; ")


async def test_modules_that_are_supplied_are_found_by_name_and_revision() -> None:
    supplied = ["simplemath=simplemath_1.tengo", "simplemath@0=simplemath_0.tengo", "simplemath@1=simplemath_1.tengo"]
    said = await MalgomajCommand(EXAMPLES)(
        "check", "calculate.tengo", *(word for each in supplied for word in ("--module", each))
    )
    assert (said.status, said.text, said.err) == (0, "calculate.tengo: good\n", "")


async def test_an_error_in_a_module_is_shown_in_the_modules_file_and_who_imports_it(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(use='lib := import("lib@3")\n', library="\nexport nothing\n")
    said = await malgomaj("check", "use.tengo", "--module", "lib@3=library.tengo")
    assert said.status == 1
    assert said.err == (
        "lib@3:2:8 (library.tengo): compile error: unresolved reference 'nothing'\n"
        "    export nothing\n"
        "           ^\n"
        "  imported at use.tengo:1:8\n"
    )


async def test_a_revision_that_cannot_be_is_told(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(use='a := import("a@99999999999999999999")\n')
    said = await malgomaj("check", "use.tengo")
    assert said.status == 1
    assert "module 'a@99999999999999999999' is not a name, name@latest or name@N\n" in said.err


async def test_what_no_program_may_import_is_refused_as_in_production(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(use='os := import("os")\n')
    said = await malgomaj("check", "use.tengo")
    assert said.status == 1
    assert said.err.startswith("use.tengo:1:7: compile error: module 'os' cannot be imported: importable are base64, ")


async def test_json_has_an_object_a_line_for_each_file(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(good="x := 1", bad="x := y", needy='import("a")\nimport("b")')
    said = await malgomaj("check", "--json", "good.tengo", "bad.tengo", "needy.tengo")
    assert (said.status, said.err) == (1, "")
    good, bad, needy = map(json.loads, said.out.splitlines())
    assert good == {"file": "good.tengo", "good": True, "errors": []}
    error = {"kind": "compile", "message": "unresolved reference 'y'", "stack": ["bad.tengo:1:6"]}
    assert bad == {"file": "bad.tengo", "good": False, "errors": [error]}
    assert [error["stack"] for error in needy["errors"]] == [["needy.tengo:1:1"], ["needy.tengo:2:1"]]


async def test_source_and_file_names_send_nothing_to_the_terminal(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(**{"a\x1b[31mb": "x := \x1b]0;title\x07"})
    said = await malgomaj("check", "a\x1b[31mb.tengo")
    assert said.status == 1
    assert "\x1b" not in said.err + said.text
    assert "\x07" not in said.err
    assert said.err.startswith("a␛[31mb.tengo:1:6: compile error: ")


async def test_a_source_that_is_not_utf8_is_refused_at_its_place(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(latin="x := 1\ny := 'é'".encode("latin-1"))
    said = await malgomaj("check", "latin.tengo")
    assert said.status == 1
    assert said.err.startswith("latin.tengo:2:7: compile error: illegal UTF-8 encoding")


async def test_the_limits_of_the_configuration_apply(malgomaj: MalgomajCommand) -> None:
    malgomaj.write(long="// " + "x" * 2000)
    (malgomaj.folder / "malgomaj.yaml").write_text("limits: {source_bytes: 1024}", encoding="utf-8")
    assert (await malgomaj("check", "long.tengo")).status == 0
    for arguments in (["check", "--config", "malgomaj.yaml"], ["--config", "malgomaj.yaml", "check"]):
        said = await malgomaj(*arguments, "long.tengo")
        assert said.status == 1
        assert "(limits.source_bytes)" in said.err
    by_variable = await malgomaj.with_variables(MALGOMAJ_LIMITS__SOURCE_BYTES="1024")("check", "long.tengo")
    assert by_variable.status == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["none.tengo"], "malgomaj: none.tengo: cannot be read: No such file or directory"),
        ([".", "good.tengo"], "malgomaj: .: cannot be read: Is a directory"),
        (["good.tengo", "--module", "good.tengo"], "malgomaj: --module good.tengo: is not NAME=PATH, NAME@latest="),
        (["good.tengo", "--module", "a=none"], "malgomaj: none: cannot be read: No such file or directory"),
        (["good.tengo", "--config", "none"], "malgomaj: none: there is no such configuration file"),
    ],
)
async def test_what_cannot_be_used_is_told_in_one_line(
    arguments: list[str], line: str, malgomaj: MalgomajCommand
) -> None:
    malgomaj.write(good="x := 1")
    said = await malgomaj("check", *arguments)
    assert (said.status, said.text) == (2, "")
    assert said.err.startswith(line)
    assert said.err.count("\n") == 1


async def test_a_wrong_option_and_no_file_are_usage_errors(malgomaj: MalgomajCommand) -> None:
    for arguments in (["check"], ["check", "--nonsense", "x"]):
        said = await malgomaj(*arguments)
        assert said.status == 2
        assert "Error: " in said.err
