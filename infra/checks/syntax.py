"""Bicep text → declarations and expressions, each with its line.

pycep-parser says whether a file is Bicep, but its tree cannot be computed with: it drops parentheses, nests every
operator to the right (``a.b == c`` becomes ``a.(b == c)``) and keeps one of two declarations of the same name. This one
reads the part of the language that both know, in the precedence of Bicep's specification.
"""

import functools
import re
from dataclasses import dataclass

from infra.checks.nodes import (
    Array,
    ArrayType,
    Binary,
    Call,
    Child,
    Choice,
    Declaration,
    Entry,
    If,
    Index,
    Lambda,
    Literal,
    Loop,
    Name,
    Node,
    Nullable,
    Object,
    Property,
    Text,
    Unary,
    UnionType,
)


class BicepSyntaxError(Exception):
    """The text is not Bicep as this parser knows it."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line, self.text = line, text


@functools.lru_cache(maxsize=256)
def parse(text: str) -> tuple[Declaration, ...]:
    """All statements of a file, in order. Raises BicepSyntaxError. Kept, as a module is read at each of its calls."""
    return tuple(_Parser(_tokens(text, 0, len(text))).file())


@dataclass(frozen=True, slots=True)
class _Token:
    line: int
    kind: str
    """name, number, string, newline, end, or the sign itself."""
    text: str = ""
    parts: tuple[str | Node, ...] = ()


_SPACE = re.compile(r"[ \t\r]+|//[^\n]*|#disable[^\n]*|/\*.*?\*/", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_]\w*")
_NUMBER = re.compile(r"\d+")
_SIGN = re.compile(r"=>|==|!=|=~|!~|<=|>=|&&|\|\||\?\?|::|\.\.\.|[@(){}\[\].,:?!=<>+\-*/%|]")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", "$": "$"}


def _tokens(text: str, start: int, end: int) -> list[_Token]:
    """The tokens of a stretch of ``text``; lines count from the text's beginning."""
    found: list[_Token] = []
    place = start
    while place < end:
        line = text.count("\n", 0, place) + 1
        if space := _SPACE.match(text, place, end):
            place = space.end()
        elif text[place] == "\n":
            found.append(_Token(line, "newline"))
            place += 1
        elif text.startswith("'''", place):
            close = text.find("'''", place + 3, end)
            if close < 0:
                raise BicepSyntaxError(line, "a ''' string is not closed")
            found.append(_Token(line, "string", parts=(text[place + 3 : close].removeprefix("\n"),)))
            place = close + 3
        elif text[place] == "'":
            parts, place = _string(text, place, end)
            found.append(_Token(line, "string", parts=parts))
        elif word := _WORD.match(text, place, end):
            found.append(_Token(line, "name", word.group()))
            place = word.end()
        elif number := _NUMBER.match(text, place, end):
            found.append(_Token(line, "number", number.group()))
            place = number.end()
        elif sign := _SIGN.match(text, place, end):
            found.append(_Token(line, sign.group(), sign.group()))
            place = sign.end()
        else:
            raise BicepSyntaxError(line, f"{text[place]!r} is not expected in Bicep")
    found.append(_Token(text.count("\n", 0, end) + 1, "end"))
    return found


def _string(text: str, start: int, end: int) -> tuple[tuple[str | Node, ...], int]:
    """The parts of the string that opens at ``start``, and the place behind its closing quote."""
    line = text.count("\n", 0, start) + 1
    parts: list[str | Node] = []
    plain = ""
    place = start + 1
    while place < end and text[place] != "\n":
        if text[place] == "'":
            return (*parts, plain) if plain or not parts else tuple(parts), place + 1
        if text[place] == "\\":
            sign = text[place + 1 : place + 2]
            if sign not in _ESCAPES:
                raise BicepSyntaxError(line, f"\\{sign} is no escape of a Bicep string")
            plain += _ESCAPES[sign]
            place += 2
        elif text.startswith("${", place):
            close = _closing_brace(text, place + 2, end)
            if plain:
                parts.append(plain)
                plain = ""
            parts.append(_Parser(_tokens(text, place + 2, close)).whole_expression())
            place = close + 1
        else:
            plain += text[place]
            place += 1
    raise BicepSyntaxError(line, "a string is not closed on its line")


def _closing_brace(text: str, start: int, end: int) -> int:
    """The place of the brace that closes an interpolation, past strings and objects within it."""
    depth = 0
    place = start
    while place < end:
        if text[place] == "'":
            _, place = _string(text, place, end)
            continue
        if text[place] == "}":
            if depth == 0:
                return place
            depth -= 1
        depth += text[place] == "{"
        place += 1
    raise BicepSyntaxError(text.count("\n", 0, start) + 1, "${ is not closed")


# From the weakest to the strongest.
_BINARY = (
    ("??",),
    ("||",),
    ("&&",),
    ("==", "!=", "=~", "!~"),
    ("<", "<=", ">", ">="),
    ("+", "-"),
    ("*", "/", "%"),
)
_CARRIES_ON = {"?", ":", "&&", "||", "??", "==", "!=", "."}
"""What a line may begin with to carry the expression before it on."""


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens = tokens
        self.place = 0

    # statements

    def file(self) -> list[Declaration]:
        found: list[Declaration] = []
        self.skip_newlines()
        while self.peek().kind != "end":
            found += self.statement()
            if self.peek().kind not in {"newline", "end"}:
                raise self.unexpected("the statement to end")
            self.skip_newlines()
        return found

    def statement(self) -> list[Declaration]:
        decorators = self.decorators()
        line, kind = self.peek().line, self.expect("name").text
        if kind == "targetScope":
            self.expect("=")
            return [Declaration(line, kind, kind, value=self.expression())]
        if kind == "import":
            return self.imports(line)
        if kind not in {"param", "var", "resource", "module", "output", "type", "func", "metadata"}:
            raise BicepSyntaxError(line, f"no statement begins with {kind}")
        if kind == "resource":
            return [self.resource(line, decorators)]
        name = self.expect("name").text
        if kind == "module":
            target = self.plain_string()
            self.expect("=")
            return [Declaration(line, kind, name, decorators, value=self.body(), target=target)]
        if kind == "func":
            parameters = self.function_parameters()
            result = self.type()
            self.expect("=>")
            self.skip_newlines()
            return [Declaration(line, kind, name, decorators, result, self.expression(), parameters=parameters)]
        declared = self.type() if kind in {"param", "output"} or (kind == "var" and self.peek().kind != "=") else None
        if kind == "param" and self.peek().kind != "=":
            return [Declaration(line, kind, name, decorators, declared)]
        self.expect("=")
        if kind == "type":
            return [Declaration(line, kind, name, decorators, self.type())]
        return [Declaration(line, kind, name, decorators, declared, self.expression())]

    def decorators(self) -> tuple[Call, ...]:
        found: list[Call] = []
        while self.take("@"):
            line = self.peek().line
            name = self.expect("name").text
            while self.take("."):  # sys.description and description are one
                name = self.expect("name").text
            self.expect("(")
            found.append(Call(line, None, name, self.arguments()))
            self.skip_newlines()
        return tuple(found)

    def resource(self, line: int, decorators: tuple[Call, ...]) -> Declaration:
        name = self.expect("name").text
        target = self.plain_string()
        existing = self.peek().text == "existing"
        if existing:
            self.place += 1
        self.expect("=")
        return Declaration(line, "resource", name, decorators, value=self.body(), target=target, existing=existing)

    def body(self) -> Node:
        line = self.peek().line
        if self.peek().text == "if":
            self.place += 1
            self.expect("(")
            condition = self.inside_parentheses()
            return If(line, condition, self.expression())
        return self.expression()

    def imports(self, line: int) -> list[Declaration]:
        self.expect("{")
        names: list[str] = []
        self.skip_newlines()
        while not self.take("}"):
            names.append(self.expect("name").text)
            self.take(",")
            self.skip_newlines()
        if self.expect("name").text != "from":
            raise BicepSyntaxError(line, "an import has the form: import { name } from 'file.bicep'")
        path = self.plain_string()
        return [Declaration(line, "import", name, target=path) for name in names]

    def function_parameters(self) -> tuple[Declaration, ...]:
        self.expect("(")
        found: list[Declaration] = []
        while not self.take(")"):
            line = self.peek().line
            found.append(Declaration(line, "param", self.expect("name").text, type=self.type()))
            self.take(",")
        return tuple(found)

    # types

    def type(self) -> Node:
        line = self.peek().line
        self.take("|")
        members = [self.type_item()]
        while self.peek_past_newlines("|"):
            self.skip_newlines()
            self.expect("|")
            self.skip_newlines()
            members.append(self.type_item())
        return members[0] if len(members) == 1 else UnionType(line, tuple(members))

    def type_item(self) -> Node:
        token = self.next()
        found: Node
        if token.kind == "name":
            is_bool = token.text in {"true", "false"}
            found = Literal(token.line, token.text == "true") if is_bool else Name(token.line, token.text)
        elif token.kind == "number":
            found = Literal(token.line, int(token.text))
        elif token.kind == "string":
            found = self.string_node(token)
        elif token.kind == "(":
            found = self.type()
            self.expect(")")
        elif token.kind == "{":
            found = self.object_type(token.line)
        else:
            raise BicepSyntaxError(token.line, f"a type is expected, not {token.text or token.kind}")
        while True:
            if self.peek().kind == "[" and self.tokens[self.place + 1].kind == "]":
                self.place += 2
                found = ArrayType(token.line, found)
            elif self.take("?"):
                found = Nullable(token.line, found)
            else:
                return found

    def object_type(self, line: int) -> Object:
        entries: list[Entry] = []
        self.skip_newlines()
        while not self.take("}"):
            self.decorators()
            key = self.next()
            name = self.string_node(key) if key.kind == "string" else Literal(key.line, key.text)
            self.expect(":")
            entries.append(Entry(key.line, name, self.type()))
            self.take(",")
            self.skip_newlines()
        return Object(line, tuple(entries), ())

    # expressions

    def whole_expression(self) -> Node:
        """An expression that is all there is, as in a string."""
        self.skip_newlines()
        found = self.expression()
        self.skip_newlines()
        if self.peek().kind != "end":
            raise self.unexpected("the expression to end")
        return found

    def expression(self) -> Node:
        if function := self.lambda_function():
            return function
        found = self.binary(0)
        if not self.take_past_newlines("?"):
            return found
        self.skip_newlines()
        yes = self.expression()
        if not self.take_past_newlines(":"):
            raise self.unexpected("':' of a condition")
        self.skip_newlines()
        return Choice(found.line, found, yes, self.expression())

    def lambda_function(self) -> Lambda | None:
        start, line = self.place, self.peek().line
        names: list[str] = []
        if self.take("("):
            while self.peek().kind == "name":
                names.append(self.next().text)
                self.take(",")
            if not self.take(")"):
                self.place = start
                return None
        elif self.peek().kind == "name":
            names.append(self.next().text)
        if not self.take("=>"):
            self.place = start
            return None
        self.skip_newlines()
        return Lambda(line, tuple(names), self.expression())

    def binary(self, level: int) -> Node:
        if level == len(_BINARY):
            return self.unary()
        left = self.binary(level + 1)
        while True:
            sign = self.peek(past_newlines=True).kind
            if sign not in _BINARY[level] or (self.peek().kind == "newline" and sign not in _CARRIES_ON):
                return left
            self.take_past_newlines(sign)
            self.skip_newlines()
            left = Binary(left.line, sign, left, self.binary(level + 1))

    def unary(self) -> Node:
        token = self.peek()
        if token.kind in {"!", "-"}:
            self.place += 1
            return Unary(token.line, token.kind, self.unary())
        return self.accessors(self.primary())

    def accessors(self, found: "Node") -> Node:
        while True:
            line = self.peek().line
            if self.peek().kind == "newline":
                if self.peek(past_newlines=True).kind != ".":
                    return found
                self.skip_newlines()
            if self.take("."):
                safe = self.take("?")
                name = self.expect("name").text
                if self.take("("):
                    found = Call(line, found, name, self.arguments())
                else:
                    found = Property(line, found, name, safe)
            elif self.take("["):
                safe = self.take("?")
                found = Index(line, found, self.expression(), safe)
                self.expect("]")
            elif self.take("::"):
                found = Child(line, found, self.expect("name").text)
            elif self.take("!"):
                found = Unary(line, "not null", found)
            else:
                return found

    def primary(self) -> Node:
        token = self.next()
        if token.kind == "string":
            return self.string_node(token)
        if token.kind == "number":
            return Literal(token.line, int(token.text))
        if token.kind == "(":
            return self.inside_parentheses()
        if token.kind == "{":
            return self.object(token.line)
        if token.kind == "[":
            return self.array(token.line)
        if token.kind != "name":
            raise BicepSyntaxError(token.line, f"an expression is expected, not {token.text or token.kind}")
        if token.text in {"true", "false"}:
            return Literal(token.line, token.text == "true")
        if token.text == "null":
            return Literal(token.line, None)
        if self.take("("):
            return Call(token.line, None, token.text, self.arguments())
        return Name(token.line, token.text)

    def inside_parentheses(self) -> Node:
        self.skip_newlines()
        found = self.expression()
        self.skip_newlines()
        self.expect(")")
        return found

    def arguments(self) -> tuple["Node", ...]:
        found: list[Node] = []
        self.skip_newlines()
        while not self.take(")"):
            found.append(self.expression())
            self.skip_newlines()
            if self.peek().kind != ")":
                self.expect(",")
            self.skip_newlines()
        return tuple(found)

    def object(self, line: int) -> Object:
        entries: list[Entry] = []
        resources: list[Declaration] = []
        self.skip_newlines()
        while not self.take("}"):
            decorators = self.decorators()
            key = self.next()
            if key.text == "resource" and self.peek().kind == "name":
                resources.append(self.resource(key.line, decorators))
            elif key.kind in {"name", "string"}:
                name = self.string_node(key) if key.kind == "string" else Literal(key.line, key.text)
                self.expect(":")
                self.skip_newlines()
                entries.append(Entry(key.line, name, self.body()))
            else:
                raise BicepSyntaxError(key.line, f"the name of a property is expected, not {key.text or key.kind}")
            self.end_of_item("}")
        return Object(line, tuple(entries), tuple(resources))

    def array(self, line: int) -> Array | Loop:
        self.skip_newlines()
        if self.peek().text == "for":
            self.place += 1
            return self.loop(line)
        items: list[Node] = []
        while not self.take("]"):
            items.append(self.expression())
            self.end_of_item("]")
        return Array(line, tuple(items))

    def loop(self, line: int) -> Loop:
        index = None
        if self.take("("):
            item = self.expect("name").text
            self.expect(",")
            index = self.expect("name").text
            self.expect(")")
        else:
            item = self.expect("name").text
        if self.expect("name").text != "in":
            raise BicepSyntaxError(line, "a loop has the form: [for item in list: value]")
        over = self.expression()
        self.expect(":")
        self.skip_newlines()
        body = self.body()
        self.skip_newlines()
        self.expect("]")
        return Loop(line, item, index, over, body)

    def end_of_item(self, closing: str) -> None:
        """Items stand on lines of their own or have commas between them."""
        if not self.take(",") and self.peek().kind not in {"newline", closing}:
            raise self.unexpected(f"a new line, a comma or {closing}")
        self.skip_newlines()

    def string_node(self, token: _Token) -> Literal | Text:
        if all(isinstance(part, str) for part in token.parts):
            return Literal(token.line, "".join(str(part) for part in token.parts))
        return Text(token.line, token.parts)

    def plain_string(self) -> str:
        token = self.expect("string")
        found = self.string_node(token)
        if not isinstance(found, Literal):
            raise BicepSyntaxError(token.line, "no expression may stand in this string")
        return str(found.value)

    # tokens

    def peek(self, *, past_newlines: bool = False) -> _Token:
        place = self.place
        while past_newlines and self.tokens[place].kind == "newline":
            place += 1
        return self.tokens[place]

    def peek_past_newlines(self, kind: str) -> bool:
        return self.peek(past_newlines=True).kind == kind

    def next(self) -> _Token:
        token = self.tokens[self.place]
        self.place = min(self.place + 1, len(self.tokens) - 1)
        return token

    def take(self, kind: str) -> bool:
        if self.peek().kind != kind:
            return False
        self.place += 1
        return True

    def take_past_newlines(self, kind: str) -> bool:
        if not self.peek_past_newlines(kind):
            return False
        self.skip_newlines()
        return self.take(kind)

    def expect(self, kind: str) -> _Token:
        if self.peek().kind != kind:
            raise self.unexpected(kind)
        return self.next()

    def skip_newlines(self) -> None:
        while self.peek().kind == "newline":
            self.place += 1

    def unexpected(self, wanted: str) -> BicepSyntaxError:
        token = self.peek()
        return BicepSyntaxError(token.line, f"{wanted} is expected, not {token.text or token.kind}")
