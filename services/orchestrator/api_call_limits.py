"""The limits around every call, from the settings."""

from services.orchestrator.settings import Settings
from services.rpc.concurrent_call_limits import CallLimits, Group

WATCH = "/i2v.v1.JobService/WatchJob"
UPLOAD = "/i2v.v1.AssetService/WriteAsset"
VERIFY = "/i2v.v1.ProvenanceService/VerifyAsset"
WATCH_USAGE = "/i2v.v1.UsageService/WatchUsage"
READS = (
    "AssetService/ReadAsset",
    "SignedAssetService/ReadSigned",
    "SharedService/ReadShared",
    "LiveService/ReadFragment",
)
DOWNLOADS = tuple(f"/i2v.v1.{method}" for method in READS)
LIST = "/i2v.v1.JobService/ListJobs"
STATEMENTS = ("/i2v.v1.UsageService/StreamStatement", "/i2v.v1.UsageService/QueryUsage")
TENANT_STATEMENTS, ALL_STATEMENTS = 2, 4
"""Of one tenant and of all tenants at a time, in one process: each keeps a connection to the database for long."""


def call_limits(settings: Settings) -> CallLimits:
    """Returns the limits around every call."""
    return CallLimits(
        calls=settings.max_calls,
        # One tenant leaves room for others with any settings.
        tenant_calls=min(settings.tenant_calls, max(1, settings.max_calls * 3 // 4)),
        groups=(
            Group("WATCHES", (WATCH,), settings.tenant_watches, settings.max_calls),
            Group("USAGE_WATCHES", (WATCH_USAGE,), settings.tenant_usage_watches, settings.max_usage_watches),
            Group("UPLOADS", (UPLOAD, VERIFY), settings.tenant_uploads, settings.max_uploads),
            Group("DOWNLOADS", DOWNLOADS, settings.tenant_downloads, settings.max_downloads),
            Group("LISTS", (LIST,), settings.tenant_lists, settings.max_lists),  # the largest answers
            Group("STATEMENTS", STATEMENTS, TENANT_STATEMENTS, ALL_STATEMENTS),
        ),
        open_calls=settings.open_calls,
        connection_calls=settings.connection_calls,
        first_message_s=settings.first_message_s,
        next_message_s=settings.next_message_s,
        taking_s=settings.taking_s,
    )
