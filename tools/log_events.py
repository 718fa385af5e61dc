"""The log calls of the services, read from their source. `python -m tools.log_events` writes them to docs/logs.md."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/logs.md"
LEVELS = {"debug": "DEBUG", "info": "INFO", "warning": "WARNING", "error": "ERROR", "critical": "CRITICAL"}
METHODS = {**LEVELS, "exception": "ERROR", "log": "by its code"}
BEGIN, END = "<!-- log events: begin -->\n", "<!-- log events: end -->\n"


class UnreadableLogCall(Exception):
    """A log call whose message or fields are not in the source next to it. The message says where and what."""


@dataclass(frozen=True, slots=True, order=True)
class LogEvent:
    """One line that the services may write."""

    message: str
    level: str
    file: str
    fields: tuple[str, ...]
    traceback: bool
    """Always with one."""


def events(folder: Path = ROOT / "services") -> list[LogEvent]:
    """Returns every event, in the order of messages. Raises UnreadableLogCall."""
    return sorted({each for file in sorted(folder.rglob("*.py")) for each in events_of(file.read_text(), _name(file))})


def events_of(source: str, file: str) -> Iterator[LogEvent]:
    """Yields the events of one file. Raises UnreadableLogCall."""
    tree = ast.parse(source)
    for scope in [*_functions(tree), tree]:
        for call in _calls(scope):
            method = _method(call)
            if method is None:
                continue
            arguments = call.args[1:] if method == "log" else call.args
            where = f"{file}:{call.lineno}"
            if len(arguments) != 1:
                raise UnreadableLogCall(f"{where}: the message alone, and values as fields in `extra`")
            given = {keyword.arg: keyword.value for keyword in call.keywords}
            fields = tuple(dict.fromkeys(_fields(given["extra"], scope, tree, where))) if "extra" in given else ()
            for message in _messages(arguments[0], where):
                yield LogEvent(message, METHODS[method], file, fields, method == "exception")


def with_table(text: str) -> str:
    """Returns a page with the table of the events as they are now."""
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    return text[:begin] + "\n".join(_table(events())) + "\n" + text[end:]


def _table(found: Sequence[LogEvent]) -> Iterator[str]:
    yield "| message | level | fields | module |"
    yield "|---|---|---|---|"
    for each in found:
        fields = ", ".join(f"`{name}`" for name in (*each.fields, *(["exception"] if each.traceback else [])))
        yield f"| `{each.message}` | {each.level} | {fields} | `{each.file}` |"


def _name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def _functions(tree: ast.AST) -> list[ast.AST]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _calls(scope: ast.AST) -> Iterator[ast.Call]:
    """Yields the calls of a scope, without those of the functions in it."""
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Call):
            yield node
        yield from _calls(node)


def _method(call: ast.Call) -> str | None:
    match call.func:
        case ast.Attribute(value=ast.Name(id="log"), attr=name) if name in METHODS:
            return name
    return None


def _messages(node: ast.expr, where: str) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)) if not re.search(r"%[sdr]", text):
            yield text
        case ast.IfExp(body=one, orelse=other):
            yield from _messages(one, where)
            yield from _messages(other, where)
        case _:
            raise UnreadableLogCall(f"{where}: the message is no constant; give its values as fields in `extra`")


def _fields(node: ast.expr, scope: ast.AST, tree: ast.AST, where: str) -> Iterator[str]:
    match node:
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if key is None:
                    yield from _fields(value, scope, tree, where)
                elif isinstance(key, ast.Constant):
                    yield str(key.value)
                else:
                    raise UnreadableLogCall(f"{where}: the name of a field is no constant")
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            yield from _fields(left, scope, tree, where)
            yield from _fields(right, scope, tree, where)
        case ast.Name(id=name):
            assigned = [
                each.value
                for each in ast.walk(scope)
                if isinstance(each, ast.Assign)
                for target in each.targets
                if isinstance(target, ast.Name) and target.id == name
            ]
            if not assigned:
                raise UnreadableLogCall(f"{where}: the fields of {name} are not in this function")
            for value in assigned:
                yield from _fields(value, scope, tree, where)
        case _:
            raise UnreadableLogCall(f"{where}: the names of the fields are not in this function")


def main() -> None:
    """Writes the table."""
    PAGE.write_text(with_table(PAGE.read_text()))


if __name__ == "__main__":
    main()
