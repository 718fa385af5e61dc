"""Every operation over HTTP: one typed table, from which the routes and the OpenAPI document are made.

What a tenant's credential may not call has no binding: operators use gRPC, and shares and signed URLs have tokens of
their own (docs/studio.md). `tests/contract/test_http_bindings.py` compares the table with the API's access rules.
"""

from collections.abc import Mapping, Sequence

from i2v.admin.v1 import audit_pb2, key_pb2, user_pb2
from i2v.v1 import (
    asset_pb2,
    catalog_pb2,
    collection_pb2,
    job_pb2,
    live_pb2,
    provenance_pb2,
    session_pb2,
    share_pb2,
    usage_pb2,
    webhook_pb2,
)

from services.studio.resources.binding import WHOLE, Binding

PROTOS = (
    asset_pb2,
    audit_pb2,
    catalog_pb2,
    collection_pb2,
    job_pb2,
    key_pb2,
    live_pb2,
    provenance_pb2,
    session_pb2,
    share_pb2,
    usage_pb2,
    user_pb2,
    webhook_pb2,
)
"""The files whose services are bound; importing them makes their descriptors known."""

_JOBS, _ASSETS, _USAGE = "i2v.v1.JobService", "i2v.v1.AssetService", "i2v.v1.UsageService"
_COLLECTIONS, _SHARES = "i2v.v1.CollectionService", "i2v.v1.ShareService"
_SESSIONS = "i2v.v1.SessionService"
_WEBHOOKS = "i2v.v1.WebhookService"
_KEYS, _USERS = "i2v.admin.v1.KeyService", "i2v.admin.v1.UserService"
_JOB, _ASSET = {"name": "jobs/{job}"}, {"name": "assets/{asset}"}
_COLLECTION, _SHARE = {"name": "collections/{collection}"}, {"name": "shares/{share}"}
_KEY = {"name": "tenants/-/keys/{key}"}
_WEBHOOK, _OF_WEBHOOK = {"name": "webhooks/{webhook}"}, {"parent": "webhooks/{webhook}"}
_OWN_TENANT = frozenset({"tenant"})
"""Only operators name another tenant than their own."""
_SLOW_S = 60.0
"""For what reads or makes a file."""

JOBS = (
    Binding(
        "POST", "/v1/jobs", f"{_JOBS}.SubmitJob", body=WHOLE, status=201, key="request_id", location="/v1/jobs/{name}"
    ),
    Binding("GET", "/v1/jobs", f"{_JOBS}.ListJobs"),
    Binding("POST", "/v1/jobs:batchSubmit", f"{_JOBS}.SubmitJobs", body=WHOLE, key="jobs.request_id", seconds=_SLOW_S),
    Binding("POST", "/v1/jobs:preview", f"{_JOBS}.PreviewJob", body=WHOLE),
    Binding("POST", "/v1/jobs:batchPreview", f"{_JOBS}.PreviewJobs", body=WHOLE, seconds=_SLOW_S),
    Binding("GET", "/v1/jobs/{job}", f"{_JOBS}.GetJob", _JOB),
    Binding("DELETE", "/v1/jobs/{job}", f"{_JOBS}.DeleteJob", _JOB),
    Binding("POST", "/v1/jobs/{job}:cancel", f"{_JOBS}.CancelJob", _JOB, body=WHOLE),
    Binding(
        "POST",
        "/v1/jobs/{job}:resume",
        f"{_JOBS}.ResumeJob",
        _JOB,
        body=WHOLE,
        status=201,
        key="request_id",
        location="/v1/jobs/{name}",
    ),
    Binding("POST", "/v1/jobs/{job}:signLiveUrl", "i2v.v1.LiveService.SignLiveUrl", _JOB, body=WHOLE),
)
ASSETS = (
    Binding("GET", "/v1/assets", f"{_ASSETS}.ListAssets"),
    Binding("POST", "/v1/assets:batchDelete", f"{_ASSETS}.BatchDeleteAssets", body=WHOLE, seconds=_SLOW_S),
    Binding("POST", "/v1/assets:batchUpdate", f"{_ASSETS}.BatchUpdateAssets", body=WHOLE, seconds=_SLOW_S),
    Binding("POST", "/v1/assets:emptyTrash", f"{_ASSETS}.EmptyTrash", body=WHOLE, seconds=_SLOW_S),
    Binding("GET", "/v1/assets/{asset}", f"{_ASSETS}.GetAsset", _ASSET),
    Binding(
        "PATCH",
        "/v1/assets/{asset}",
        f"{_ASSETS}.UpdateAsset",
        {"asset.name": "assets/{asset}"},
        body="asset",
        etag="asset.etag",
    ),
    Binding("DELETE", "/v1/assets/{asset}", f"{_ASSETS}.DeleteAsset", _ASSET, etag="etag"),
    Binding("POST", "/v1/assets/{asset}:restore", f"{_ASSETS}.RestoreAsset", _ASSET, body=WHOLE),
    Binding("POST", "/v1/assets/{asset}:favorite", f"{_ASSETS}.FavoriteAsset", _ASSET, body=WHOLE),
    Binding("POST", "/v1/assets/{asset}:signUrl", f"{_ASSETS}.SignUrl", _ASSET, body=WHOLE, seconds=_SLOW_S),
    Binding(
        "POST",
        "/v1/assets/{asset}:verify",
        "i2v.v1.ProvenanceService.VerifyAsset",
        _ASSET,
        body=WHOLE,
        hidden=frozenset({"data"}),
        seconds=_SLOW_S,
    ),
    Binding("GET", "/v1/assets/{asset}/manifest", "i2v.v1.ProvenanceService.GetManifest", _ASSET),
    Binding(
        "GET",
        "/v1/assets/{asset}/renditions/{variant}",
        f"{_ASSETS}.GetRendition",
        {**_ASSET, "variant": "{variant}"},
        seconds=_SLOW_S,
    ),
    Binding("GET", "/v1/library/statistics", f"{_ASSETS}.GetLibraryStatistics"),
)
UPLOADS = (
    Binding("POST", "/v1/uploads:direct", f"{_ASSETS}.CreateDirectUpload", body="header", key="header.upload_id"),
    Binding(
        "POST",
        "/v1/uploads/{upload}:finalize",
        f"{_ASSETS}.FinalizeUpload",
        {"upload_id": "{upload}"},
        body=WHOLE,
        status=201,
        location="/v1/assets/{name}",
        seconds=_SLOW_S,
    ),
)
"""Of the bytes themselves, see `services/studio/streams`."""
COLLECTIONS = (
    Binding(
        "POST",
        "/v1/collections",
        f"{_COLLECTIONS}.CreateCollection",
        body="collection",
        status=201,
        key="request_id",
        location="/v1/collections/{name}",
    ),
    Binding("GET", "/v1/collections", f"{_COLLECTIONS}.ListCollections"),
    Binding("GET", "/v1/collections/{collection}", f"{_COLLECTIONS}.GetCollection", _COLLECTION),
    Binding(
        "PATCH",
        "/v1/collections/{collection}",
        f"{_COLLECTIONS}.UpdateCollection",
        {"collection.name": "collections/{collection}"},
        body="collection",
        etag="collection.etag",
    ),
    Binding("DELETE", "/v1/collections/{collection}", f"{_COLLECTIONS}.DeleteCollection", _COLLECTION, etag="etag"),
    Binding("POST", "/v1/collections/{collection}:addAssets", f"{_COLLECTIONS}.AddAssets", _COLLECTION, body=WHOLE),
    Binding(
        "POST", "/v1/collections/{collection}:removeAssets", f"{_COLLECTIONS}.RemoveAssets", _COLLECTION, body=WHOLE
    ),
)
SHARES = (
    Binding(
        "POST",
        "/v1/shares",
        f"{_SHARES}.CreateShare",
        body=WHOLE,
        status=201,
        key="request_id",
        location="/v1/shares/{name}",
    ),
    Binding("GET", "/v1/shares", f"{_SHARES}.ListShares"),
    Binding("GET", "/v1/shares/{share}", f"{_SHARES}.GetShare", _SHARE),
    Binding("POST", "/v1/shares/{share}:revoke", f"{_SHARES}.RevokeShare", _SHARE, body=WHOLE),
)
CATALOG = (
    Binding("GET", "/v1/catalog/models", "i2v.v1.CatalogService.ListModels"),
    Binding("GET", "/v1/catalog/models/{model}", "i2v.v1.CatalogService.GetModel", {"name": "models/{model}"}),
)
USAGE = (
    Binding("GET", "/v1/usage", f"{_USAGE}.GetUsage"),
    Binding("GET", "/v1/usage:query", f"{_USAGE}.QueryUsage"),
    Binding("GET", "/v1/usage/entries", f"{_USAGE}.ListLedgerEntries"),
    Binding("GET", "/v1/usage/statement", f"{_USAGE}.StreamStatement", lines=True),
)
SESSION = (Binding("GET", "/v1/session", f"{_SESSIONS}.GetSession"),)
WEBHOOKS = (
    Binding(
        "POST",
        "/v1/webhooks",
        f"{_WEBHOOKS}.CreateEndpoint",
        body=WHOLE,
        status=201,
        key="request_id",
        location="/v1/webhooks/{endpoint.name}",
    ),
    Binding("GET", "/v1/webhooks", f"{_WEBHOOKS}.ListEndpoints"),
    Binding("GET", "/v1/webhooks/{webhook}", f"{_WEBHOOKS}.GetEndpoint", _WEBHOOK),
    Binding(
        "PATCH",
        "/v1/webhooks/{webhook}",
        f"{_WEBHOOKS}.UpdateEndpoint",
        {"endpoint.name": "webhooks/{webhook}"},
        body="endpoint",
    ),
    Binding("DELETE", "/v1/webhooks/{webhook}", f"{_WEBHOOKS}.DeleteEndpoint", _WEBHOOK),
    Binding(
        "POST",
        "/v1/webhooks/{webhook}:rotateSecret",
        f"{_WEBHOOKS}.RotateSecret",
        _WEBHOOK,
        body=WHOLE,
        status=201,
        key="request_id",
    ),
    Binding("POST", "/v1/webhooks/{webhook}:test", f"{_WEBHOOKS}.TestEndpoint", _WEBHOOK, body=WHOLE),
    Binding("GET", "/v1/webhooks/{webhook}/deliveries", f"{_WEBHOOKS}.ListDeliveries", _OF_WEBHOOK),
    Binding("POST", "/v1/webhooks/{webhook}:replay", f"{_WEBHOOKS}.ReplayDeliveries", _OF_WEBHOOK, body=WHOLE),
)
TENANT = (
    Binding("POST", "/v1/keys", f"{_KEYS}.CreateKey", body=WHOLE, status=201, hidden=_OWN_TENANT),
    Binding("GET", "/v1/keys", f"{_KEYS}.ListKeys", hidden=_OWN_TENANT),
    Binding("POST", "/v1/keys/{key}:rotate", f"{_KEYS}.RotateKey", _KEY, body=WHOLE, status=201),
    Binding("POST", "/v1/keys/{key}:revoke", f"{_KEYS}.RevokeKey", _KEY, body=WHOLE),
    Binding(
        "POST",
        "/v1/userDeletions",
        f"{_USERS}.DeleteUser",
        body=WHOLE,
        key="request_id",
        hidden=_OWN_TENANT,
        location="/v1/userDeletions/{deletion.name}",
    ),
    Binding("GET", "/v1/userDeletions", f"{_USERS}.ListUserDeletions", hidden=_OWN_TENANT),
    Binding(
        "GET",
        "/v1/userDeletions/{deletion}",
        f"{_USERS}.GetUserDeletion",
        {"name": "tenants/-/userDeletions/{deletion}"},
    ),
    Binding("GET", "/v1/auditEntries", "i2v.admin.v1.AuditService.ListAuditEntries", hidden=_OWN_TENANT),
)
"""For the admins of a tenant."""

BINDINGS: Sequence[Binding] = (
    *JOBS,
    *ASSETS,
    *UPLOADS,
    *COLLECTIONS,
    *SHARES,
    *CATALOG,
    *USAGE,
    *SESSION,
    *WEBHOOKS,
    *TENANT,
)

UNBOUND: Mapping[str, str] = {
    f"{_JOBS}.WatchJob": "`/v1/jobs/{job}/events` sends it as server-sent events.",
    f"{_USAGE}.WatchUsage": "`/v1/usage/events` sends it as server-sent events.",
    f"{_ASSETS}.ReadAsset": "`/v1/assets/{asset}/content` sends the bytes.",
    f"{_ASSETS}.WriteAsset": "`/v1/uploads` takes the bytes.",
    f"{_ASSETS}.QueryWriteStatus": "`/v1/uploads/{upload}` says it.",
    f"{_SESSIONS}.CreateSession": "`/sign-in` begins a session, and gives its token to no script.",
    f"{_SESSIONS}.DeleteSession": "`/sign-out` ends a session.",
    f"{_SESSIONS}.CreateSignInLink": "`i2v open` makes links; the page has no use for one.",
}
"""What a tenant's credential may call, and is no binding: why not."""
