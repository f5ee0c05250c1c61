"""The rules of prose: what docstrings, comments, messages and documents of this project may not contain.

This module needs nothing but the standard library, so that it also runs alone: ``python prose_rules.py [--count] FILES``.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

MAXIMUM = 25
"""Words of the longest sentence."""


@dataclass(frozen=True)
class Text:
    """A piece of prose in a file."""

    line: int
    kind: str
    """`docstring`, `comment`, `message`, `fragment` (a part of a message) or `document`."""
    text: str


@dataclass(frozen=True)
class Violation:
    """A sentence, and the rule that it breaks."""

    path: Path
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


BACK = r"(?:put|take|give|set|get|let|bring|hand)(?:s|ting|ing)?|taken|taking|took|gave|given|giving|brought"
FORBIDDEN = {
    "is to be so": r"\b(?:is|are|was|were) to be so\b",
    "have it so": r"\b(?:have|has|had|having|make|makes|made|making) (?:it|them|that|this) so\b",
    "it is so already": r"\b(?:it|that|they|this) (?:is|are|was|were) so\b",
    "besides": r"\bbesides\b",
    "told": r"\btold\b",
    "said": r"\bsaid\b",
    "… back (restore, release, re-attach, return)": rf"\b(?:{BACK})\b(?: (?!and\b|or\b)[^\s.,;:]+){{0,4}} back\b",
}
WORDS = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in FORBIDDEN.items()}

NO_SUBJECT = re.compile(
    r"(?:Of|With|What of|Those of|That of|Those (?:that|which|who|whose)|That which|Such of|Whatever|Whichever"
    r"|As ¤[,.:;]|As are|Nor|Neither of|Its own|Theirs|Them|One that|One which|One who|One whose|One of those)(?!\w)"
)
NO_NOUN = re.compile(
    r"(?:It|They|Those|These|Them|Theirs|That(?! (?:a|an|the|no)\b)|One(?: of| that| which| who|[.,:;]|'s))(?!\w)"
)
"""How the first sentence of a docstring may not begin: nothing before it says what the pronoun means."""

FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
FOREIGN = re.compile(r"(['`]+)(?:virsh|ovs-vsctl|ip|bridge|xl|git|qemu|modprobe|libvirtd|virt\w+d)\b.*?\1")
"""A command of another program, whose flags any message may name."""

SPAN = re.compile(r"(``?)(?!`).+?\1|(?<![\w])'[a-z][^'\n]*? [^'\n]*'(?!\w)|https?://\S+")
LIST = re.compile(r"¤(?: \([^()]*\))?(?:(?:[,;]| and|, and| or) ¤(?: \([^()]*\))?){2,}")
"""Names in code, one after another, each perhaps with an explanation in parentheses."""
LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
END = re.compile(r"(?<!e\.g\.)(?<!i\.e\.)(?<!etc\.)(?<!cf\.)(?<!\bvs\.)(?:(?<=[.!?])[\"')*_]*\s+|(?<=…)\s+(?=[A-Z]))")
DATA = re.compile(
    r"^\s*(?:<|\{|\[|SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|PRAGMA|WITH|FROM|WHERE|DROP|ATTACH|BEGIN|AND|ORDER|--)"
)


def _with_spans(text: str, spans: Iterator[str]) -> str:
    """The text with the next span for each sign."""
    return re.sub("¤", lambda _: next(spans), text)


def sentences(text: str) -> Iterator[tuple[str, str]]:
    """Every sentence twice: each of its spans of code as a sign, and as it is written."""
    for paragraph in re.split(r"\n\s*\n|\n\s*(?=[-*] |\d+\. )", text):
        written = " ".join(re.sub(r"^\s*(?:[-*]|\d+\.) ", "", paragraph).split())
        written = LINK.sub(lambda found: found[1], written)
        spans = (found.group() for found in SPAN.finditer(written))
        for sentence in END.split(SPAN.sub("¤", written)):
            yield sentence, _with_spans(sentence, spans)


def length(sentence: str) -> int:
    """How many words the sentence has; a dash or another sign is no word, and a list of names in code is one."""
    return len([word for word in LIST.sub("¤", sentence).split() if re.search(r"[\w¤]", word)])


def broken(text: Text, *, is_core: bool) -> Iterator[tuple[str, str]]:
    """Each rule that the text breaks, and the sentence that breaks it."""
    if is_core and FLAG.search(FOREIGN.sub("", text.text)):
        yield "flag in the core", " ".join(text.text.split())
    for number, (sentence, written) in enumerate(sentences(text.text)):
        words = length(sentence)
        if words > MAXIMUM:
            yield f"{words} words", written
        if text.kind != "fragment" and NO_SUBJECT.match(sentence):
            yield "no subject", written
        elif text.kind == "docstring" and number == 0 and NO_NOUN.match(sentence):
            yield "no noun", written
        yield from ((f"'{name}'", written) for name, pattern in WORDS.items() if pattern.search(sentence))


# -- Python ----------------------------------------------------------------------------------------


def docstring_nodes(tree: ast.Module) -> Iterator[ast.Constant]:
    """Every string that stands alone: docstrings of modules, classes, functions and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value


def comments(source: str) -> Iterator[Text]:
    """Every comment; lines of comment in one column, one after another, are one text."""
    found: list[tuple[int, int, str]] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            line, column = token.start
            words = token.string.lstrip("#:! ")
            if re.match(r"(?:noqa|type:|pragma|ruff|mypy|fmt:|/usr|-\*-)", words):
                continue
            if (
                found
                and not token.line[:column].strip()
                and (line - found[-1][2].count("\n") - 1, column) == found[-1][:2]
            ):
                first = found.pop()
                words = f"{first[2]}\n{words}"
                line = first[0]
            found.append((line, column, words))
    yield from (Text(line, "comment", words.strip("- ")) for line, _, words in found)


def _joined(node: ast.expr) -> str | None:
    """The text of a string expression, a placeholder for each of its values; None if it is no string."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(_joined(each) or "X" for each in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _joined(node.left), _joined(node.right)
        return None if left is None and right is None else (left or "X") + (right or "X")
    return None


def _is_prose(text: str) -> bool:
    """True if the text is for people: some words with small letters, and no statement of SQL, no element."""
    return len(re.findall(r"(?<![\w/.-])[A-Za-z][a-z']+(?![\w/=])", text)) >= 4 and not DATA.match(text)


class _Messages(ast.NodeVisitor):
    """Collects the messages of a module."""

    def __init__(self, docstrings: set[int]) -> None:
        self.docstrings = docstrings
        self.found: list[Text] = []
        self.kinds = ["message"]

    def _text(self, node: ast.expr) -> None:
        text = None if id(node) in self.docstrings else _joined(node)
        if text is None:
            self.generic_visit(node)
            return
        if _is_prose(text):
            self.found.append(Text(node.lineno, self.kinds[-1], text))
        self.kinds.append("fragment")
        for each in ast.walk(node):
            if isinstance(each, ast.FormattedValue):
                self.visit(each.value)
            elif isinstance(each, ast.BinOp):
                for side in (each.left, each.right):
                    if _joined(side) is None:
                        self.visit(side)
        self.kinds.pop()

    visit_Constant = visit_JoinedStr = visit_BinOp = _text  # noqa: N815


def texts_of_python(source: str) -> Iterator[Text]:
    """The docstrings, comments and messages of a module."""
    tree = ast.parse(source)
    docstrings = list(docstring_nodes(tree))
    yield from (Text(each.lineno, "docstring", str(each.value)) for each in docstrings)
    yield from comments(source)
    messages = _Messages({id(each) for each in docstrings})
    messages.visit(tree)
    yield from messages.found


# -- Markdown --------------------------------------------------------------------------------------


def texts_of_document(source: str) -> Iterator[Text]:
    """The paragraphs, list items and table cells of a document, without its headings and blocks of code."""
    is_code = False
    lines: list[str] = []
    first = 1
    for number, line in enumerate([*source.splitlines(), ""], 1):
        is_fence = line.lstrip().startswith("```")
        starts_anew = is_code or is_fence or not line.strip() or re.match(r"\s*(?:[-*] |\d+\. |#|\|)", line)
        if starts_anew and lines:
            yield Text(first, "document", "\n".join(lines))
            lines = []
        if is_fence:
            is_code = not is_code
        elif not is_code and line.startswith("|"):
            spans = (found.group() for found in SPAN.finditer(line))
            cells = [_with_spans(cell.strip(), spans) for cell in SPAN.sub("¤", line).split("|")]
            yield from (Text(number, "document", cell) for cell in cells if cell)
        elif not is_code and line.strip() and not line.startswith(("#", "    ", "<")):
            first = first if lines else number
            lines.append(line)


def violations_in(path: Path, *, is_core: bool | None = None) -> list[Violation]:
    """Every violation in a file; its path says whether the file belongs to the core."""
    source = path.read_text()
    if path.suffix != ".py":
        texts = texts_of_document(source)
        is_core = False
    else:
        texts = texts_of_python(source)
    if is_core is None:
        parts = path.resolve().parts
        is_core = "virtnetplug" in parts and "cli" not in parts
    found = [Violation(path, each.line, *rule) for each in texts for rule in broken(each, is_core=is_core)]
    return sorted(found, key=lambda each: each.line)


def main(words: Sequence[str]) -> int:
    """Print the violations in the files that are named; after ``--count``, how many each file has (`prose_debt.txt`)."""
    found = [each for name in words if name != "--count" for each in violations_in(Path(name))]
    lines = Counter(each.path for each in found)
    for line in [f"{path} {count}" for path, count in lines.items()] if "--count" in words else found:
        print(line)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
