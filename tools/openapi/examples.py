"""Examples: the bodies of requests by the id of their operation, and values of the query by `id.name`."""

from typing import Any

PICTURE = "assets/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
SPEC = {
    "model": "nano",
    "imageToVideo": {"image": PICTURE, "prompt": "slow pan over the roof"},
    "duration": "1s",
}
EXAMPLES: dict[str, Any] = {
    "submitJob": {"spec": SPEC},
    "submitJobs": {"mode": "EACH", "jobs": [{"spec": SPEC}]},
    "previewJob": {"spec": SPEC},
    "previewJobs": {"specs": [SPEC]},
    "batchDeleteAssets": {"names": [PICTURE]},
    "batchUpdateAssets": {"names": [PICTURE], "addTags": ["roof"]},
    "emptyTrash": {"dryRun": True},
    "updateAsset": {"details": {"title": "The roof", "tags": ["roof"]}, "rating": 5},
    "favoriteAsset": {"favorite": True},
    "signUrl": {"expireIn": "900s"},
    "createDirectUpload": {"mediaType": "image/png", "sizeBytes": 48211, "sha256": PICTURE.removeprefix("assets/")},
    "createEndpoint": {"url": "https://app.example.com/i2v", "eventTypes": ["job.succeeded", "job.failed"]},
    "updateEndpoint": {"eventTypes": ["job.succeeded"]},
    "rotateSecret": {"overlap": "86400s"},
    "replayDeliveries": {"since": "2026-11-30T12:00:00Z"},
    "createCollection": {"title": "Roofs"},
    "updateCollection": {"title": "Old roofs"},
    "addAssets": {"assets": [PICTURE]},
    "removeAssets": {"assets": [PICTURE]},
    "createShare": {"asset": PICTURE, "expireIn": "86400s"},
    "createKey": {"displayName": "backend of the shop", "scopes": ["SUBMIT", "READ", "ASSETS"]},
    "resumeJob": {},
    "signLiveUrl": {"expireIn": "3600s"},
    "rotateKey": {"overlap": "3600s"},
    "revokeKey": {"reason": "It was in a log."},
    "deleteUser": {"user": "ann", "dryRun": True},
    "queryUsage.groupBy": "DAY",
    "streamStatement.month": "2026-11",
}
