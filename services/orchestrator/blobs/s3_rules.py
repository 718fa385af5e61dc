"""The rules of a bucket as XML: those of the service are found by their ids, all others are kept as they are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, fromstring, register_namespace, tostring

OWN = "i2v-"
"""What the ids of the service's rules begin with."""
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
UNFINISHED_DAYS = 1
UPLOADS_DAYS = 2
"""An upload can be continued for a day."""
FOLDERS = ("tenants", "checkpoints", "uploads", "checks")

Tree = Mapping[str, "str | Tree | Sequence[str]"]

register_namespace("", NAMESPACE)


@dataclass(frozen=True, slots=True)
class RuleKind:
    """A kind of rules that a bucket has."""

    name: str
    query: str
    root: str
    rule: str
    none: str
    """S3's word for a bucket without any."""


LIFE_CYCLE = RuleKind("life-cycle rules", "lifecycle", "LifecycleConfiguration", "Rule", "NoSuchLifecycleConfiguration")
CORS = RuleKind("CORS", "cors", "CORSConfiguration", "CORSRule", "NoSuchCORSConfiguration")


def life_cycle(*, versions: bool) -> dict[str, Tree]:
    """Returns the rules by id. They remove what no process of the service sees: unfinished uploads, old versions."""
    rules: dict[str, Tree] = {}
    for folder in FOLDERS:
        rule: dict[str, str | Tree | Sequence[str]] = {"Filter": {"Prefix": f"{folder}/"}, "Status": "Enabled"}
        if folder == "uploads":
            rule["Expiration"] = {"Days": str(UPLOADS_DAYS)}
        elif versions:
            rule["Expiration"] = {"ExpiredObjectDeleteMarker": "true"}
        if versions:
            rule["NoncurrentVersionExpiration"] = {"NoncurrentDays": "1"}
        rule["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": str(UNFINISHED_DAYS)}
        rules[f"{OWN}{folder}"] = rule
    return rules


def cors(origins: Sequence[str]) -> dict[str, Tree]:
    """Returns the rule by which pages of these origins upload by POST, and read ranges."""
    rule: Tree = {
        "AllowedOrigin": list(origins),
        "AllowedMethod": ["GET", "HEAD", "POST"],
        "AllowedHeader": ["*"],
        "ExposeHeader": ["ETag", "Content-Range", "Content-Length", "Content-Disposition", "Accept-Ranges"],
        "MaxAgeSeconds": "3600",
    }
    return {f"{OWN}clients": rule}


class Rules:
    """The rules of one kind that a bucket has."""

    def __init__(self, kind: RuleKind, data: bytes | None) -> None:
        """`data` is what the store answers; None: it has none. Raises ParseError, ValueError if it is another thing."""
        self._kind = kind
        self._root = Element(f"{{{NAMESPACE}}}{kind.root}") if data is None else fromstring(data)
        if _local(self._root) != kind.root:
            raise ValueError(f"not a {kind.root}: {_local(self._root)[:60]}")

    def own(self) -> dict[str, str]:
        """Returns the rules of the service by id, each as a line that is the same for equal rules."""
        return {id_: _line(rule) for rule in self._root if (id_ := _id(rule)).startswith(OWN)}

    def with_own(self, wanted: Mapping[str, Tree]) -> "Rules":
        """Returns the rules with other ones of the service."""
        made = Rules(self._kind, tostring(self._root))
        for rule in list(made._root):
            if _id(rule).startswith(OWN):
                made._root.remove(rule)
        namespace = self._root.tag.rpartition("}")[0] + "}" if "}" in self._root.tag else ""
        for id_, tree in wanted.items():
            _add(SubElement(made._root, f"{namespace}{self._kind.rule}"), namespace, {"ID": id_, **tree})
        return made

    def changes(self, other: "Rules") -> tuple[str, ...]:
        """Returns what differs in the service's rules of another configuration, as lines."""
        before, after = self.own(), other.own()
        lines = []
        for id_ in sorted(before | after):
            if before.get(id_) != after.get(id_):
                lines += [f"- {id_}: {before[id_]}"] if id_ in before else []
                lines += [f"+ {id_}: {after[id_]}"] if id_ in after else []
        return tuple(lines)

    def xml(self) -> bytes:
        """Returns the whole configuration."""
        return bytes(tostring(self._root, encoding="utf-8"))


def _add(parent: Element, namespace: str, tree: Tree) -> None:
    for name, value in tree.items():
        for each in [value] if isinstance(value, str | Mapping) else value:
            element = SubElement(parent, f"{namespace}{name}")
            if isinstance(each, str):
                element.text = each
            else:
                _add(element, namespace, each)


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _id(rule: Element) -> str:
    return next((each.text or "" for each in rule if _local(each) == "ID"), "")


def _line(rule: Element) -> str:
    return ", ".join(sorted(leaf for leaf in _leaves(rule, "") if not leaf.startswith("ID ")))


def _leaves(element: Element, path: str) -> Iterator[str]:
    """Yields the texts of an element with their paths. Stores differ in whether a prefix is in a filter."""
    for child in element:
        name = _local(child)
        below = path if name in ("Filter", "And") else f"{path}{name}."
        if len(child):
            yield from _leaves(child, below)
        elif text := (child.text or "").strip():
            yield f"{below.removesuffix('.')} {text}"
