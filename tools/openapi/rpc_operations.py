"""The operations of the bindings: each is an RPC, and its comment says what it does."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from services.reasons import LibraryReason
from services.studio.resources.binding import WHOLE, Binding
from services.studio.resources.bindings import BINDINGS, UNBOUND
from services.studio.resources.operation import LINES
from services.studio.resources.transcoding import PART
from tools.openapi import problems, rpc_errors
from tools.openapi.examples import EXAMPLES
from tools.openapi.message_schemas import MessageSchemas, Schema
from tools.openapi.operation import JSON, Answer, Body, Operation, Parameter, Part
from tools.openapi.problems import Error
from tools.openapi.proto_files import Field, ProtoFiles

TAGS: Mapping[str, tuple[str, str]] = {
    "jobs": ("Jobs", "i2v.v1.JobService"),
    "assets": ("Assets", "i2v.v1.AssetService"),
    "uploads": ("Files", "i2v.v1.AssetService"),
    "webhooks": ("Webhooks", "i2v.v1.WebhookService"),
    "library": ("Assets", "i2v.v1.AssetService"),
    "collections": ("Collections", "i2v.v1.CollectionService"),
    "shares": ("Shares", "i2v.v1.ShareService"),
    "catalog": ("Catalog", "i2v.v1.CatalogService"),
    "session": ("Session", "i2v.v1.SessionService"),
    "usage": ("Usage", "i2v.v1.UsageService"),
    "keys": ("Keys", "i2v.admin.v1.KeyService"),
    "userDeletions": ("Deletion of users", "i2v.admin.v1.UserService"),
    "auditEntries": ("Audit log", "i2v.admin.v1.AuditService"),
}
"""Heading, and the service whose comment describes it, by the first part of a path below `/v1`."""
OF_OPERATORS = re.compile(r"\s*Role: \w+\.")
"""What comments say of the roles of operators, who use gRPC."""
OF_EVERY_RPC = "i2v.v1.JobService"
"""The service whose comment has the errors of every RPC, in words of gRPC."""
ID: Schema = {"type": "string", "pattern": f"^{PART.pattern}$"}
ETAG = {"ETag": "Changes with the answer."}
_MOST = re.compile(r"\b(?:(\d+) to |[Aa]t most )([\d,]+)\b")
_DEFAULT = re.compile(r"\bDefault (\d+)\b")


def calls() -> dict[str, str]:
    """Returns the operations of HTTP, in Markdown, by the names of their RPCs."""
    found = {each.rpc.rpartition(".")[2]: f"`{each.method} {each.path}`" for each in BINDINGS}
    for rpc, text in UNBOUND.items():
        if path := re.match(r"`[^`]+`", text):
            found[rpc.rpartition(".")[2]] = path[0]
    return found


def parts(protos: ProtoFiles, schemas: MessageSchemas, bindings: Iterable[Binding] = BINDINGS) -> list[Part]:
    """Returns a part for each heading."""
    found: dict[tuple[str, str], list[Operation]] = {}
    for each in bindings:
        first = re.split("[/:]", each.path.removeprefix("/v1/"))[0]
        service = each.rpc.rpartition(".")[0]
        of_service = service.rpartition(".")[2].removesuffix("Service"), service
        found.setdefault(TAGS.get(first, of_service), []).append(_Described(each, protos, schemas).operation())
    return [
        Part(
            tag=tag,
            description=schemas.text(protos.services[service].partition("\n\n")[0]),
            operations=tuple(operations),
        )
        for (tag, service), operations in found.items()
    ]


class _Described:
    """A binding on its way to an operation."""

    def __init__(self, binding: Binding, protos: ProtoFiles, schemas: MessageSchemas) -> None:
        self._binding, self._protos, self._schemas = binding, protos, schemas
        self._request = protos.messages[binding.request.full_name]
        name = binding.descriptor.name
        self._id = name[0].lower() + name[1:]

    def operation(self) -> Operation:
        binding = self._binding
        comment = rpc_errors.without_errors(self._protos.methods[binding.rpc].comment)
        words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]+", binding.descriptor.name)
        return Operation(
            method=binding.method.lower(),  # type: ignore[arg-type]
            path=binding.path,
            operation_id=self._id,
            summary=" ".join([words[0], *(each.lower() for each in words[1:])]).replace("url", "URL"),
            description=OF_OPERATORS.sub("", self._schemas.text(comment)),
            parameters=(*self._of_path(), *self._of_query(), *self._of_headers()),
            body=self._body(),
            answers=self._answers(),
        )

    def _of_path(self) -> Iterable[Parameter]:
        for name in self._binding.variables:
            whole = next(each for each in self._binding.fills.values() if f"{{{name}}}" in each)
            text = f"The last part of the name `{whole}`." if "/" in whole else "Such as `thumbnail-256`."
            yield Parameter(name=name, where="path", description=text, schema=ID)

    def _of_query(self) -> Iterable[Parameter]:
        for each in self._request.fields:
            if each.proto.name in self._binding.query_fields and each.proto.name != self._binding.key:
                schema = self._schemas.field(each)
                text = schema.pop("description", "")
                is_mask = each.proto.name == self._binding.mask
                yield Parameter(
                    name=each.proto.json_name,
                    where="query",
                    description=text.replace(" Required.", "") + " Default: those of the body." if is_mask else text,
                    schema=schema | _limits(each),
                    required=each.is_required and not is_mask,
                    example=EXAMPLES.get(f"{self._id}.{each.proto.json_name}"),
                )

    def _of_headers(self) -> Iterable[Parameter]:
        if self._binding.key:
            yield Parameter(
                name="Idempotency-Key",
                where="header",
                description="The same request with the same key does it once, however often it is sent.",
                schema={"type": "string", "minLength": 1, "maxLength": 255},
            )
        if self._binding.etag:
            yield Parameter(
                name="If-Match",
                where="header",
                description="The ETag that was read: the change is refused if there was another one since.",
                schema={"type": "string"},
            )
        if self._binding.method == "GET" and not self._binding.lines:
            yield Parameter(
                name="If-None-Match",
                where="header",
                description="The ETag that the client has. If it is still the same, the answer is 304.",
                schema={"type": "string"},
            )

    def _body(self) -> Body | None:
        binding = self._binding
        if binding.body_type is None or not binding.body_fields:
            return None
        name = binding.body_type.full_name
        fields = binding.body_fields & self._changed() if binding.mask else binding.body_fields
        without = frozenset(each.name for each in binding.body_type.fields) - fields
        schema: Schema | str = name
        if without or binding.method == "PATCH":
            schema = self._schemas.inline(name, without)
            if binding.method == "PATCH":
                schema.pop("required", None)
            key = f"{self._id[0].upper()}{self._id[1:]}Body"
            self._schemas.components[key] = schema
            schema = {"$ref": f"#/components/schemas/{key}"}
            required = self._schemas.components[key].get("required")
        else:
            self._schemas.reference(name)
            required = self._schemas.components[name.rpartition(".")[2]].get("required")
        return Body(
            contents={JSON: schema},
            required=binding.body != WHOLE or bool(required),
            example=EXAMPLES.get(self._id),
        )

    def _changed(self) -> frozenset[str]:
        """Returns the fields that an update may change, as the comment of its mask lists them, and the etag."""
        mask = next(each for each in self._request.fields if each.proto.name == self._binding.mask)
        return frozenset(re.findall(r"`(\w+)", mask.comment)) | {"etag"}

    def _answers(self) -> dict[int, Answer]:
        binding = self._binding
        headers = dict(ETAG) if (binding.method == "GET" and not binding.lines) or binding.etag else {}
        if binding.pages:
            headers["Link"] = "The next page, with `rel=next`."
        if binding.location:
            headers["Location"] = "Where it is."
        name = binding.response.full_name
        text = self._protos.messages[name].comment.splitlines()
        good = Answer(
            description=self._schemas.text(" ".join(text)),
            contents={LINES if binding.lines else JSON: name},
            headers=headers,
        )
        answers = {binding.status: good}
        if binding.method == "GET" and not binding.lines:
            answers[304] = Answer(description="The client has this answer.", headers=ETAG)
        return answers | problems.answers(self._errors())

    def _errors(self) -> Iterable[Error]:
        """Yields why it may be refused: what its comment says and that of its service, and what holds for all."""
        binding, service = self._binding, self._binding.rpc.rpartition(".")[0]
        comments = [self._protos.methods[binding.rpc].comment]
        if other := rpc_errors.ADDED_TO.search(comments[0]):
            comments.append(self._protos.methods[f"{service}.{other[1]}"].comment)
        if service != OF_EVERY_RPC:
            comments.append(self._protos.services[service])
        for comment in comments:
            for each in rpc_errors.listed(comment):
                yield replace(each, text=self._schemas.text(each.text))
        if binding.etag:
            yield Error(412, "It was changed since the ETag of `If-Match`.", (LibraryReason.ETAG_OUTDATED,))
        if binding.variables:
            yield from problems.OF_PATHS
        if binding.body_type is not None:
            yield from problems.OF_BODIES
        yield from problems.OF_ALL


def _limits(field: Field) -> Schema:
    """Returns the bounds of a number that its comment has."""
    if field.proto.type != field.proto.TYPE_INT32 or field.proto.label == field.proto.LABEL_REPEATED:
        return {}
    found: Schema = {}
    if most := _MOST.search(field.comment):
        found = {"minimum": int(most[1] or 0), "maximum": int(most[2].replace(",", ""))}
    if default := _DEFAULT.search(field.comment):
        found["default"] = int(default[1])
    return found
