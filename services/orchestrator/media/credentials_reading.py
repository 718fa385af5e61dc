"""Reads and checks the C2PA manifest of a hostile file. Runs in the child only."""

import json
from typing import Any, BinaryIO

import c2pa

from services.orchestrator.media.decoder_process import Finish, Parent

FACTS_BYTES, TEXT_LENGTH, CODES = 16_384, 200, 20
"""The most that the answer has of what a file says: facts as JSON, characters of a name, codes of faults."""
TRUSTED, UNTRUSTED, SIGNED = "signingCredential.trusted", "signingCredential.untrusted", "claimSignature.validated"


def read(source: BinaryIO, target: BinaryIO, parent: Parent) -> Finish:
    """Checks the active manifest: whether it is intact, whose it is, and what it says."""
    answer = _read(source, parent.question)
    return lambda: answer


def _read(source: BinaryIO, question: dict[str, Any]) -> dict[str, object]:
    settings = {
        "trust": {"trust_anchors": question["anchors"]},
        "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
    }
    try:
        with c2pa.Reader(question["media_type"], source, context=c2pa.Context.from_dict(settings)) as reader:
            found = json.loads(reader.json())
    except c2pa.C2paError.ManifestNotFound:
        return {"seal": "none"}
    except c2pa.C2paError as error:
        return {"seal": "unreadable", "faults": [str(error)[:TEXT_LENGTH]]}
    manifest = found["manifests"].get(found.get("active_manifest"))
    if manifest is None:
        return {"seal": "unreadable", "faults": ["no active manifest"]}
    results = found.get("validation_results", {}).get("activeManifest", {})
    passed = {each["code"] for each in results.get("success", [])}
    faults = [str(each["code"]) for each in results.get("failure", [])]
    signature = manifest.get("signature_info", {})
    names = [str(signature[key])[:TEXT_LENGTH] for key in ("common_name", "issuer") if key in signature]
    return {
        "seal": "intact" if SIGNED in passed and all(map(of_certificate, faults)) else "altered",
        "trusted": TRUSTED in passed and SIGNED in passed,
        "serial": str(signature.get("cert_serial_number", ""))[:TEXT_LENGTH],
        "name": ", ".join(names),
        "generator": _generator(manifest),
        "generated": _generated(manifest),
        "facts": _facts(manifest, question["label"]),
        "faults": [code[:TEXT_LENGTH] for code in faults if code != UNTRUSTED][:CODES],
    }


def of_certificate(fault: str) -> bool:
    """Whether a fault is one of the certificate alone: the file is as it was signed."""
    return fault.startswith("signingCredential.") or fault == "claimSignature.outsideValidity"


def _generator(manifest: dict[str, Any]) -> str:
    each: dict[str, Any] = next(iter(manifest.get("claim_generator_info") or []), {})
    return f"{each.get('name', '')} {each.get('version', '')}".strip()[:TEXT_LENGTH]


def _generated(manifest: dict[str, Any]) -> bool:
    for each in manifest.get("assertions", []):
        if str(each.get("label", "")).startswith("c2pa.actions"):
            actions = each["data"].get("actions", [])
            return any(str(one.get("digitalSourceType", "")).endswith("lgorithmicMedia") for one in actions)
    return False


def _facts(manifest: dict[str, Any], label: str) -> dict[str, Any]:
    for each in manifest.get("assertions", []):
        if each.get("label") == label and isinstance(each.get("data"), dict):
            return dict(each["data"]) if len(json.dumps(each["data"])) <= FACTS_BYTES else {}
    return {}
