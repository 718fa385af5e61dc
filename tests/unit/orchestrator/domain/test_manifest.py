"""What leaves with a file: how it was made, and nothing of who asked for it."""

import json
from dataclasses import replace

from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.content_credentials import Identity
from services.orchestrator.domain.manifest import Unsigned, claim, manifest
from services.orchestrator.domain.media_info import VideoInfo
from tests.support.builders import NOON, a_card, a_job

INFO = VideoInfo("video/mp4", 64, 32, 8, 8.0, 1.0)
UNSIGNED = Unsigned("u" * 64, 100)
JOB = replace(a_job(), card_version="v7")
ASSET = Asset("studio", "ann", "f" * 64, 200, INFO, NOON)
OURS = Identity("i2v", "7", "c" * 64, True)
WITH = {"profile": "nano", "profile_sha256": "d" * 64}


def test_what_leaves_says_how_and_not_for_whom() -> None:
    said = claim(JOB, a_card(), INFO, UNSIGNED, WITH)
    assert said.facts["seed"] == 7 and said.facts["unsigned_sha256"] == "u" * 64
    assert said.facts["model"] == {"id": "test-model", "name": a_card().display_name, "card_version": "v7", **WITH}
    text = json.dumps(said.facts)
    assert not [secret for secret in (JOB.tenant, f'"{JOB.user}"', JOB.id, JOB.prompt) if secret in text]


def test_the_librarys_manifest_has_all_that_the_files_has_and_more() -> None:
    said = claim(JOB, a_card(), INFO, UNSIGNED, WITH)
    made = manifest(JOB, a_card(), ASSET, UNSIGNED, WITH, version="0.1.0", signed_by=OURS)
    assert dict(made.body) == dict(made.body) | dict(said.facts)
    assert (made.body["prompt"], made.body["job"], made.body["signed"]) == (JOB.prompt, f"jobs/{JOB.id}", True)


def test_an_unsigned_video_says_why() -> None:
    made = manifest(
        JOB, a_card(), ASSET, UNSIGNED, WITH, version="0.1.0", signed_by=None, unsigned_because="it has no place"
    )
    assert (made.body["signed"], made.body["unsigned_because"]) == (False, "it has no place")
    assert "certificate" not in made.body
