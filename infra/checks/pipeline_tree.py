"""Pipeline files as trees that know their lines, and the whole pipeline with its templates put in."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from infra.checks.problem import Problem

type Node = "Text | Branch | Items"

EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")
DIRECTIVE = re.compile(r"\$\{\{\s*(if|elseif|else|insert|each)\b.*\}\}")
_PARAMETER = re.compile(r"\s*parameters\.([\w-]+)\s*")


class Text(str):
    """A scalar: its text as it is written."""

    __slots__ = ("line", "path")
    path: str
    line: int


class Branch(dict[str, Node]):
    """A mapping; its keys are Texts."""

    path = ""
    line = 0

    def keyed(self) -> Iterator[tuple[Text, Node]]:
        """Keys, which know their lines, with their values."""
        for key, value in self.items():
            if isinstance(key, Text):
                yield key, value

    def text(self, key: str) -> Text | None:
        """The value of this key, if it is a text."""
        value = self.get(key)
        return value if isinstance(value, Text) else None


class Items(list[Node]):
    """A sequence."""

    path = ""
    line = 0


class Reader:
    """Reads the files of one pipeline, and notes what is wrong on the way."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[Problem] = []
        self.read: dict[str, Branch] = {}
        """Each file that was read, by its path relative to the root."""

    def tree(self, path: str) -> Branch:
        """The file's tree, empty if it cannot be read."""
        if path not in self.read:
            self.read[path] = self._load(path)
        return self.read[path]

    def expanded(self, path: str) -> Branch:
        """The file with every template that it names, and theirs, in their places.

        All branches of conditions are taken: what stands in any of them must be right.
        """
        whole = self._expand(self.tree(path), {})
        return whole if isinstance(whole, Branch) else Branch()

    def note(self, where: "Text | Branch | Items", text: str) -> None:
        """Take a problem down, once."""
        problem = Problem(where.path, where.line, text)
        if problem not in self.problems:
            self.problems.append(problem)

    def _load(self, path: str) -> Branch:
        try:
            node = yaml.compose((self.root / path).read_text(), Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            line = error.problem_mark.line + 1 if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark else 0
            self.problems.append(Problem(path, line, f"This is no YAML: {error}"))
            return Branch()
        if not isinstance(node, yaml.MappingNode):
            self.problems.append(Problem(path, 0, "A pipeline file is a mapping: give it stages, jobs or steps."))
            return Branch()
        tree = self._convert(node, path)
        return tree if isinstance(tree, Branch) else Branch()

    def _convert(self, node: yaml.Node, path: str) -> Node:
        converted: Node
        if isinstance(node, yaml.MappingNode):
            converted = branch = Branch()
            for key_node, value_node in node.value:
                key = self._convert(key_node, path)
                if isinstance(key, Text):
                    if key in branch:
                        self.note(key, f"{key} stands here twice; only the last would count. Remove one.")
                    branch[key] = self._convert(value_node, path)
        elif isinstance(node, yaml.SequenceNode):
            converted = Items(self._convert(item, path) for item in node.value)
        else:
            converted = Text(node.value)
        converted.path, converted.line = path, node.start_mark.line + 1
        return converted

    def _expand(self, node: Node, parameters: Mapping[str, Node]) -> Node:
        expanded: Node
        match node:
            case Text():
                return _filled(node, parameters)
            case Branch():
                expanded = Branch()
                for key, value in node.keyed():
                    inner = self._expand(value, parameters)
                    if DIRECTIVE.fullmatch(key) and isinstance(inner, Branch):
                        expanded.update(inner)
                    else:
                        filled = _filled(key, parameters)
                        expanded[filled if isinstance(filled, Text) else key] = inner
            case Items():
                expanded = Items()
                for item in node:
                    expanded.extend(self._items(item, parameters))
        expanded.path, expanded.line = node.path, node.line
        return expanded

    def _items(self, item: Node, parameters: Mapping[str, Node]) -> list[Node]:
        """What an item of a list becomes: a template's stages, jobs or steps, a condition's items, or itself."""
        if isinstance(item, Branch):
            for key, value in item.keyed():
                if key == "template" and isinstance(value, Text):
                    return self._template(value, item, parameters)
                if DIRECTIVE.fullmatch(key):
                    inner = self._expand(value, parameters)
                    return list(inner) if isinstance(inner, Items) else [inner]
        return [self._expand(item, parameters)]

    def _template(self, name: Text, call: Branch, parameters: Mapping[str, Node]) -> list[Node]:
        path = (Path(name.path).parent / name).as_posix()
        if not (self.root / path).is_file():
            self.note(name, f"The template {path} does not exist. Paths are relative to the file that names them.")
            return []
        template = self.tree(path)
        given = self._expand(call.get("parameters", Branch()), parameters)
        values = self._arguments(call, given if isinstance(given, Branch) else Branch(), template, path)
        for kind in ("stages", "jobs", "steps"):
            if kind in template:
                content = self._expand(template[kind], values)
                return list(content) if isinstance(content, Items) else []
        self.note(name, f"The template {path} has no stages, jobs or steps.")
        return []

    def _arguments(self, call: Branch, given: Branch, template: Branch, path: str) -> dict[str, Node]:
        declared = declared_parameters(template)
        values = dict[str, Node]()
        for key, _ in given.keyed():
            if key not in declared:
                self.note(key, f"{path} has no parameter {key}. It has: {', '.join(declared) or 'none'}.")
        for name, declaration in declared.items():
            value = given.get(name, declaration.get("default"))
            if value is None:
                self.note(call, f"{path} needs the parameter {name}, and it is not given.")
                continue
            values[name] = value
            self._check_value(name, value, declaration)
        return values

    def _check_value(self, name: str, value: Node, declaration: Branch) -> None:
        kind, allowed = declaration.get("type"), declaration.get("values")
        if kind == "boolean" and value not in ("true", "false"):
            self.note(value, f"The parameter {name} is a boolean: give it true or false, not {value}.")
        elif kind == "number" and not (isinstance(value, Text) and re.fullmatch(r"-?\d+(\.\d+)?", value)):
            self.note(value, f"The parameter {name} is a number, and {value} is none.")
        elif kind == "string" and not isinstance(value, Text):
            self.note(value, f"The parameter {name} is a string.")
        if isinstance(allowed, Items) and value not in allowed:
            self.note(value, f"The parameter {name} may be {', '.join(map(str, allowed))}, not {value}.")


def declared_parameters(tree: Branch) -> dict[str, Branch]:
    """The parameters that a file declares."""
    declarations = tree.get("parameters")
    if not isinstance(declarations, Items):
        return {}
    return {str(each["name"]): each for each in declarations if isinstance(each, Branch) and "name" in each}


def texts(node: Node) -> Iterator[Text]:
    """Every text in a tree, keys too."""
    match node:
        case Text():
            yield node
        case Branch():
            for key, value in node.keyed():
                yield key
                yield from texts(value)
        case Items():
            for item in node:
                yield from texts(item)


def branches(node: Node) -> Iterator[Branch]:
    """Every mapping in a tree, itself included."""
    match node:
        case Branch():
            yield node
            for value in node.values():
                yield from branches(value)
        case Items():
            for item in node:
                yield from branches(item)


def _filled(text: Text, parameters: Mapping[str, Node]) -> Node:
    """The text with the parameters' values in it; a text that is one parameter and nothing else is its value."""
    whole = EXPRESSION.fullmatch(text)
    if whole and (name := _PARAMETER.fullmatch(whole[1])) and name[1] in parameters:
        return parameters[name[1]]

    def value(expression: re.Match[str]) -> str:
        name = _PARAMETER.fullmatch(expression[1])
        found = parameters.get(name[1]) if name else None
        return str(found) if isinstance(found, Text) else expression[0]

    filled = Text(EXPRESSION.sub(value, text))
    filled.path, filled.line = text.path, text.line
    return filled
