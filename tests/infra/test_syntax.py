"""Bicep's grammar and arithmetic, as far as the checks rest on them."""

from pathlib import Path
from typing import Any

import pytest

from infra.checks.evaluate import EvaluationError, evaluate
from infra.checks.syntax import BicepSyntaxError, parse
from infra.checks.values import is_runtime, is_secret

ACCOUNT = "resource a 'Microsoft.Storage/storageAccounts@2025-06-01' = {\n  name: 'st'\n}\n"
SITE = "resource s 'Microsoft.Web/sites@2025-03-01' existing = {\n  name: 'app'\n}\n"


def computed(folder: Path, text: str, **parameters: Any) -> Any:
    file = folder / "main.bicep"
    file.write_text(text)
    deployment = evaluate(folder, file, parameters)
    assert deployment.problems == []
    return deployment.outputs["x"][0]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("7 - 2 - 1", 4),
        ("-7 / 2", -3),
        ("true || false && false", True),
        ("!(true && false)", True),
        ("1 == 1 && 2 < 3 ? 'yes' : 'no'", "yes"),
        ("false ? 'a' : true ? 'b' : 'c'", "b"),
        ("true\n  ? 'a'\n  : 'b'", "a"),
        ("null ?? 'b'", "b"),
        ("{ a: { b: [1, 2] } }.a.b[1]", 2),
        ("{ a: 1 }.?b ?? 3", 3),
        ("'a' =~ 'A'", True),
        ("'${'in'}${1 + 1}-${toUpper('x')}'", "in2-X"),
        ("'it\\'s \\${plain}'", "it's ${plain}"),
        ("'''\nline ${1}\n'''", "line ${1}\n"),
        ("[for (c, i) in ['x', 'y']: '${c}${i}']", ["x0", "y1"]),
        ("map(filter([1, 2, 3], n => n > 1), n => n * 10)", [20, 30]),
        ("reduce([1, 2, 3], 0, (all, n) => all + n)", 6),
        ("toObject(['a'], k => k, k => 1)", {"a": 1}),
        ("union({ a: { b: 1 } }, { a: { c: 2 } })", {"a": {"b": 1, "c": 2}}),
        ("az.resourceGroup().name", "rg-sample"),
        ("length(take(uniqueString(resourceGroup().id), 6))", 6),
        ("uniqueString('a') == uniqueString('a') && uniqueString('a') != uniqueString('b')", True),
        ("[\n  'a' // one\n  'b'\n]", ["a", "b"]),
    ],
)
def test_an_expression(tmp_path: Path, expression: str, value: Any) -> None:
    found = computed(
        tmp_path,
        f"output x object = any({expression})\n".replace("output x object", "var v") + "output x array = [v]\n",
    )
    assert found == [value]


def test_resources_know_their_ids_and_what_follows_from_their_names(tmp_path: Path) -> None:
    nested = ACCOUNT.replace("}\n", "\n  resource b 'blobServices' = {\n    name: 'default'\n  }\n}\n")
    found = computed(tmp_path, nested + "output x string = a::b.id\n")
    assert found.endswith("/Microsoft.Storage/storageAccounts/st/blobServices/default")
    assert computed(tmp_path, SITE + "output x string = s.properties.defaultHostName\n") == "app.azurewebsites.net"


def test_what_only_azure_knows_is_marked_and_keys_are_secret(tmp_path: Path) -> None:
    plain = computed(tmp_path, ACCOUNT + "output x string = 'id ${a.properties.creationTime}'\n")
    assert is_runtime(plain)
    assert not is_secret(plain)
    for key in ("a.listKeys().keys[0].value", "listKeys(a.id, '2025-06-01').keys[0].value", "toLower(p)"):
        secret = "@secure()\nparam p string = 'x'\n"
        assert is_secret(computed(tmp_path, f"{secret}{ACCOUNT}output x string = 'key ${{{key}}}'\n"))


TYPES = """
type colour = 'blue' | 'green'
type app = {
  name: string
  colour: colour
  size: int?
}
func named(a app, suffix string) string => '${a.name}-${suffix}'
"""


@pytest.mark.parametrize(
    ("declared", "value", "words"),
    [
        ("app", {"name": "a", "colour": "blue"}, None),
        ("app", {"name": "a", "colour": "red"}, 'colour: "red" is none of the values allowed'),
        ("app", {"name": "a"}, "the object lacks colour"),
        ("app", {"name": "a", "colour": "blue", "size": "1"}, 'size: "1" is no int'),
        ("app", {"name": "a", "colour": "blue", "extra": 1}, "the object has no property extra"),
        ("colour[]", ["blue", "red"], '"red" is none of'),
        ("string[]", "blue", '"blue" is no array'),
        ("int?", None, None),
        ("int", True, "true is no int"),
        ("bool", "true", '"true" is no bool'),
    ],
)
def test_a_value_against_its_type(tmp_path: Path, declared: str, value: Any, words: str | None) -> None:
    file = tmp_path / "main.bicep"
    file.write_text(f"{TYPES}param p {declared}\nvar v = p\n")
    problems = evaluate(tmp_path, file, {"p": value}).problems
    assert [problem.line for problem in problems] == ([9] if words else [])
    assert all(words and words in problem.text for problem in problems)


def test_a_function_and_an_import(tmp_path: Path) -> None:
    (tmp_path / "shared.bicep").write_text(TYPES.replace("func", "@export()\nfunc"))
    text = "import { named } from 'shared.bicep'\noutput x string = named({ name: 'a', colour: 'blue' }, 'b')\n"
    assert computed(tmp_path, text) == "a-b"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("var x = 1\nvar y = (1\n", 3),
        ("var x = 'open\n", 1),
        ("var x = {\n  a: 1 b: 2\n}\n", 2),
        ("var x = 1 2\n", 1),
        ("variable x = 1\n", 1),
        ("var x = '${1'\n", 1),
    ],
)
def test_what_is_no_bicep_has_its_line(text: str, line: int) -> None:
    with pytest.raises(BicepSyntaxError) as caught:
        parse(text)
    assert caught.value.line == line


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError) as caught:
        evaluate(tmp_path, tmp_path / "none.bicep", {})
    assert caught.value.problem.path == "none.bicep"
