r"""Spintax and placeholders: `{a|b}` is one of its alternatives, `{{name}}` is filled from a field.

Groups nest. A brace that is not part of a balanced group with a bar in it is plain text, and so is everything in code
(between backticks) and in links, but for placeholders. `\{`, `\|` and `\}` are the plain characters; in code `\{\{` and
`\}\}` are. What looks like a placeholder and is none, as `{{name | upper}}` or `{{name}`, is found, so that it reaches
nobody.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_WORD = r"""[^\s{}|"':;,=()<>/\\]{1,64}"""
_NAME = rf"{_WORD} (?: [ ] {_WORD} ){{0,2}}"
_PLACEHOLDER = (
    rf"\{{\{{ [ \t]* (?P<name> {_NAME} ) [ \t]* \}}\}}"
    r"""
    | (?P<odd>
          \{\{ (?= [^{}\w]*+ \w ) [^{}]*+ \}\}            # {{name | upper}}
        | \{\{\{ (?= [^{}|\w]*+ \w ) [^{}|]*+ \}\}\}      # {{{name}}}
        | (?<!\{) \{\{ [ \t]*+ \}\} (?!\})             # {{}}
        | \{\{ [ \t]*+ [^\W\d][\w.-]{0,63}+ [ \t]*+ \}      # {{name}
        | (?<!\\\{) \{ [ \t]*+ [^\W\d][\w.-]{0,63}+ [ \t]*+ \}\}      # {name}}
        | \{\{ [ \t]*+ [^\W\d][\w.-]{0,63}+ (?= [^{}|]*+ \Z )          # {{name, and no end of it
      )
"""
)
_TOKEN = re.compile(
    rf"""
      (?P<code> ```.+?``` | `[^`\n]+` )
    | (?P<link> (?:https?://|www\.) (?: [^\s{{}}|\\] | \\ (?![{{|}}]) | \{{ (?!\{{) [^\s{{}}]* \}} (?!\}}) )+ )
    | \\ (?P<escaped> [{{|}}] )
    | {_PLACEHOLDER}
    | (?P<sign> [{{|}}] )
    """,
    re.VERBOSE | re.DOTALL,
)
_CODE_TOKEN = re.compile(rf"(?P<braces> \\\{{\\\{{ | \\\}}\\\}} ) | {_PLACEHOLDER}", re.VERBOSE)
_BRACED = re.compile(rf"(?<![{{\\]) \{{ [ \t]* (?P<name> {_NAME} ) [ \t]* \}} (?!\}})", re.VERBOSE)
_CODE = re.compile(r"```.+?```|`[^`\n]+`", re.DOTALL)
_SIGN = re.compile(r"[{|}]")
_TWO_BRACES = re.compile(r"\{\{|\}\}")
_ESCAPED_BRACE = re.compile(r"\\([{}])")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A place to be filled with the value of the field `name`."""

    name: str


Piece = str | Placeholder


@dataclass(slots=True)
class _Sequence:
    """Parts one after the other; `count` is how many texts it can become."""

    parts: list["Piece | _Sequence | _Group"] = field(default_factory=list)
    count: int = 1
    depth: int = 0

    def add(self, part: "Piece | _Sequence | _Group") -> None:
        self.parts.append(part)
        if isinstance(part, _Sequence | _Group):
            self.count *= part.count
            self.depth = max(self.depth, part.depth)


@dataclass(slots=True)
class _Group:
    """One of several sequences. Alternatives weigh as much as the texts they can become, so that these are equal.

    Where it stands in the text is kept, not what stands there: of nested groups that would be the square of the text.
    """

    start: int
    end: int
    alternatives: list[_Sequence]
    count: int
    depth: int


@dataclass(frozen=True, slots=True)
class Spin:
    """A group and what was chosen for it."""

    before: str
    after: tuple[Piece, ...]


class Template:
    """A parsed text. Takes time and memory in proportion to it, whatever stands in it.

    Attributes:
        count: how many texts the spintax can become.
        depth: how many groups stand in each other, at most.
        groups: how many there are.
        names: the placeholders' names, in order of appearance, each once.
        odd: what looks like a placeholder and is none, braces and all, in order of appearance.
    """

    def __init__(self, text: str) -> None:
        parser = _Parser(text)
        root = parser.parse()
        self._text = text
        self._root = root
        self.count = root.count
        self.depth = root.depth
        self.groups = parser.groups
        self.names = tuple(parser.names)
        self.odd = tuple(parser.odd)

    def braced(self, names: Iterable[str]) -> str | None:
        """The first of these names, whatever its case, that stands in single braces, with them: `{name}`."""
        if "{" not in self._text:
            return None
        wanted = {name.casefold() for name in names}
        return next((one[0] for one in _BRACED.finditer(self._text) if one["name"].casefold() in wanted), None)

    def resolve(self, index: int) -> tuple[list[Piece], list[Spin]]:
        """The text with the given index (0 to `count` - 1), as pieces, and what was chosen for each outermost group."""
        pieces: list[Piece] = []
        spins: list[Spin] = []
        for part in self._root.parts:
            count = part.count if isinstance(part, _Sequence | _Group) else 1
            index, own = divmod(index, count)
            chosen = list(_walk(part, own))
            pieces += chosen
            if isinstance(part, _Group):
                spins.append(Spin(self._text[part.start : part.end], tuple(chosen)))
        return pieces, spins


def _walk(part: "Piece | _Sequence | _Group", index: int) -> Iterator[Piece]:
    """The pieces of the `index`-th text of `part`. No recursion: groups may nest thousands deep."""
    waiting: list[tuple[Piece | _Sequence | _Group, int]] = [(part, index)]
    while waiting:
        part, index = waiting.pop()
        match part:
            case _Sequence():
                inner = []
                for item in part.parts:
                    count = item.count if isinstance(item, _Sequence | _Group) else 1
                    index, own = divmod(index, count)
                    inner.append((item, own))
                waiting += reversed(inner)
            case _Group():
                for alternative in part.alternatives:
                    if index < alternative.count:
                        waiting.append((alternative, index))
                        break
                    index -= alternative.count
            case _:
                yield part


@dataclass(slots=True)
class _Open:
    """A group whose closing brace has not come yet."""

    start: int
    alternatives: list[_Sequence]


class _Parser:
    """Reads a text once.

    Attributes:
        groups: how many it has closed.
        names: of placeholders, in order of appearance.
        odd: what only looks like one.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._root = _Sequence()
        self._open: list[_Open] = []
        self.groups = 0
        self.names: dict[str, None] = {}
        self.odd: list[str] = []

    def parse(self) -> _Sequence:
        position = 0
        for match in _TOKEN.finditer(self._text):
            self._add_text(self._text[position : match.start()])
            position = match.end()
            if match["sign"]:
                self._sign(match["sign"], match.start())
            elif match["code"]:
                self._code(match["code"])
            elif not self._placeholder(match):
                self._add_text(match["escaped"] or match[0])
        self._add_text(self._text[position:])
        return self._finish()

    def _placeholder(self, match: re.Match[str]) -> bool:
        """Take a placeholder, or note what only looks like one. Whether it is either."""
        if match["name"]:
            self.names[match["name"]] = None
            self._add(Placeholder(match["name"]))
        elif match["odd"]:
            self.odd.append(match["odd"])
            self._add_text(match["odd"])
        return bool(match["name"] or match["odd"])

    def _code(self, code: str) -> None:
        """Code, in which placeholders are filled and nothing else is read."""
        position = 0
        for match in _CODE_TOKEN.finditer(code):
            self._add_text(code[position : match.start()])
            position = match.end()
            if not self._placeholder(match):
                self._add_text(match["braces"].replace("\\", ""))
        self._add_text(code[position:])

    def _add(self, part: "Piece | _Sequence | _Group") -> None:
        (self._open[-1].alternatives[-1] if self._open else self._root).add(part)

    def _add_text(self, text: str) -> None:
        if text:
            self._add(text)

    def _sign(self, sign: str, start: int) -> None:
        """A brace or a bar, which is plain text where it belongs to no group."""
        if sign == "{":
            self._open.append(_Open(start, [_Sequence()]))
        elif not self._open:
            self._add(sign)
        elif sign == "|":
            self._open[-1].alternatives.append(_Sequence())
        else:
            self._close(start + 1)

    def _close(self, end: int) -> None:
        group = self._open.pop()
        if len(group.alternatives) > 1:
            self.groups += 1
            count = sum(alternative.count for alternative in group.alternatives)
            depth = 1 + max(alternative.depth for alternative in group.alternatives)
            self._add(_Group(group.start, end, group.alternatives, count, depth))
        else:
            self._add("{")
            self._add(group.alternatives[0])
            self._add("}")

    def _finish(self) -> _Sequence:
        """The whole; groups that were never closed are plain text, whatever stands in them."""
        for group in self._open:
            for number, alternative in enumerate(group.alternatives):
                self._root.add("|" if number else "{")
                self._root.add(alternative)
        return self._root


def unescaped(text: str) -> str:
    r"""`text`, from which no template was read, with its braces: `\{\{` writes two."""
    return _ESCAPED_BRACE.sub(r"\1", text)


def escaped(text: str) -> str:
    r"""`text` as a template that becomes it and nothing else: `\{` for a brace, in code `\{\{` for two."""
    made, position = [], 0
    for code in _CODE.finditer(text):
        made.append(_SIGN.sub(r"\\\g<0>", text[position : code.start()]))
        made.append(_TWO_BRACES.sub(lambda match: f"\\{match[0][0]}" * 2, code[0]))
        position = code.end()
    return "".join((*made, _SIGN.sub(r"\\\g<0>", text[position:])))
