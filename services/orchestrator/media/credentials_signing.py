"""Signs a file with a C2PA manifest. Runs in the child only; the parent keeps the key and signs what the child asks."""

import io
import json
from typing import Any, BinaryIO

import c2pa
from PIL import Image

from services.orchestrator.media.decoder_process import Finish, Parent

TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
SETTINGS = {
    "builder": {"thumbnail": {"enabled": False}, "bmff_hash_exclude_free_and_skip_boxes": False},
    # The parent reads the result itself; nothing here may open a connection.
    "verify": {"verify_after_sign": False, "remote_manifest_fetch": False, "ocsp_fetch": False},
}
ALGORITHMS = {
    "es256": c2pa.C2paSigningAlg.ES256,
    "es384": c2pa.C2paSigningAlg.ES384,
    "ed25519": c2pa.C2paSigningAlg.ED25519,
}


def warm() -> None:
    """Loads what the library loads at its first use: later no file can be opened."""
    picture = io.BytesIO()
    Image.new("RGB", (1, 1)).save(picture, "PNG")
    c2pa.Builder(json.dumps(definition({}, [], "i2v", "0", "")), c2pa.Context.from_dict(SETTINGS)).close()
    try:
        c2pa.Reader("image/png", picture, context=c2pa.Context.from_dict(SETTINGS))
    except c2pa.C2paError:
        return


def sign(source: BinaryIO, target: BinaryIO, parent: Parent) -> Finish:
    """Writes the file again, with the manifest of the question in it."""
    given = parent.question
    made = definition(
        given["facts"], given["parents"], given["program"], given["version"], given["label"], given["shows"]
    )
    signer = c2pa.Signer.from_callback(parent.ask, ALGORITHMS[given["algorithm"]], given["chain"], None)
    builder = c2pa.Builder(json.dumps(made), c2pa.Context.from_dict(SETTINGS))
    try:
        builder.sign(signer, given["media_type"], source, target)
    except c2pa.C2paError as error:
        refused = str(error)[:500]
        return lambda: {"refused": refused}
    return lambda: {"signed": True}


def definition(
    facts: dict[str, Any], parents: list[list[str]], program: str, version: str, label: str, shows: str = ""
) -> dict[str, Any]:
    """Returns a manifest: a trained model made the file from these parents, or the video that the file shows."""
    ingredients = [_ingredient(role, sha256, "inputTo") for role, sha256 in parents]
    begun: dict[str, Any] = {"action": "c2pa.opened" if shows else "c2pa.created", "digitalSourceType": TRAINED}
    actions = [begun]
    if shows:
        ingredients.append(_ingredient("video", shows, "parentOf"))
        actions.append({"action": "c2pa.converted", "digitalSourceType": TRAINED})
    if ingredients:
        begun["parameters"] = {"ingredientIds": [each["label"] for each in ingredients]}
    if facts.get("pixel_mark") and not shows:
        actions.append({"action": "c2pa.watermarked.unbound"})
    return {
        "claim_version": 2,
        "claim_generator_info": [{"name": program, "version": version}],
        "ingredients": ingredients,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            *([{"label": label, "data": facts}] if label else []),
        ],
    }


def _ingredient(role: str, sha256: str, relationship: str) -> dict[str, str]:
    return {"title": role, "relationship": relationship, "label": role, "instance_id": f"sha256:{sha256}"}
