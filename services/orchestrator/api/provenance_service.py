"""ProvenanceService: how videos were made, and checks of files that claim to come from here."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
from i2v.v1 import provenance_pb2, provenance_pb2_grpc

from services.orchestrator.api import proto_values
from services.orchestrator.api.authentication import Authentication
from services.orchestrator.assets.verify import Verifier
from services.orchestrator.domain.content_credentials import Signer
from services.orchestrator.domain.verification import Verdict, Verification
from services.orchestrator.ports.manifests import Manifests
from services.reasons import AssetReason

_Message = provenance_pb2.Verification
VERDICTS = {
    Verdict.GENUINE: _Message.GENUINE,
    Verdict.ALTERED: _Message.ALTERED,
    Verdict.FOREIGN: _Message.FOREIGN,
    Verdict.UNSIGNED: _Message.UNSIGNED,
    Verdict.UNREADABLE: _Message.UNREADABLE,
}
SIGNERS = {
    Signer.NONE: _Message.SIGNER_UNSPECIFIED,
    Signer.OWN: _Message.OWN,
    Signer.DEVELOPMENT: _Message.DEVELOPMENT,
    Signer.STRANGER: _Message.STRANGER,
}
MARKS = {None: _Message.PIXEL_MARK_UNSPECIFIED, True: _Message.PRESENT, False: _Message.ABSENT}


@dataclass(frozen=True, slots=True)
class ProvenanceService(provenance_pb2_grpc.ProvenanceServiceServicer):
    """Answers the RPCs of provenance.proto."""

    manifests: Manifests
    verifier: Verifier
    callers: Authentication

    async def GetManifest(
        self, request: provenance_pb2.GetManifestRequest, context: grpc.ServicerContext
    ) -> provenance_pb2.Manifest:
        """Returns how a finished video was made."""
        caller = self.callers.caller()
        sha256 = proto_values.resource_id(request.name, "assets")
        found, create_time = await self.manifests.get(sha256, tenant=caller.tenant, user=caller.user)
        return provenance_pb2.Manifest(
            asset=f"assets/{found.sha256}",
            unsigned_sha256=found.body["unsigned_sha256"],
            signed=found.body["signed"],
            json=json.dumps(found.body, ensure_ascii=False),
            create_time=proto_values.timestamp(create_time),
        )

    async def VerifyAsset(
        self, request_iterator: AsyncIterator[provenance_pb2.VerifyAssetRequest], context: grpc.ServicerContext
    ) -> provenance_pb2.Verification:
        """Checks an asset, or the bytes of a file."""
        caller, first = self.callers.caller(), await anext(request_iterator, None)
        if first is None or first.WhichOneof("part") is None:
            raise proto_values.refuse("data", "is missing; send a name, or bytes", AssetReason.DATA_EMPTY)
        if first.WhichOneof("part") == "data":
            return _message(await self.verifier.data(_data(first.data, request_iterator), caller))
        if await anext(request_iterator, None) is not None:
            raise proto_values.refuse("name", "must be the only message", AssetReason.HEADER_REPEATED)
        return _message(await self.verifier.asset(proto_values.resource_id(first.name, "assets"), caller))


async def _data(first: bytes, requests: AsyncIterator[provenance_pb2.VerifyAssetRequest]) -> AsyncIterator[bytes]:
    yield first
    async for request in requests:
        if request.WhichOneof("part") != "data":
            raise proto_values.refuse("name", "must not come with data", AssetReason.HEADER_REPEATED)
        yield request.data


def _message(found: Verification) -> provenance_pb2.Verification:
    credentials = found.credentials
    return provenance_pb2.Verification(
        verdict=VERDICTS[found.verdict],
        signer=SIGNERS[credentials.signer],
        signer_name=credentials.signer_name,
        generator=credentials.generator,
        generated=credentials.generated,
        facts_json=json.dumps(credentials.facts, ensure_ascii=False) if credentials.facts else "",
        faults=credentials.faults,
        pixel_mark=MARKS[found.marked],
        sha256=found.sha256,
        asset=f"assets/{found.sha256}" if found.recorded else "",
    )
