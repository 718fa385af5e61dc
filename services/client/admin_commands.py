"""All commands of `i2v`: those of everybody, of `i2v assets` and of `i2v admin`."""

from services.client import job_commands, live, open_page, provenance_commands, usage_commands
from services.client.admin import (
    audit,
    backends,
    blobs,
    credit,
    export,
    invoice,
    jobs,
    keys,
    ledger,
    legal_hold,
    limits,
    log,
    operators,
    plans,
    reconcile,
    retention,
    tenants,
    usage,
    users,
)
from services.client.assets import edits, group, lists, stats, tags, transfers, trash, url
from services.client.batch import command as batch_command
from services.client.collections import edits as collection_edits
from services.client.collections import lists as collection_lists
from services.client.commands import i2v
from services.client.completion import scripts
from services.client.profiles import lists as profile_lists
from services.client.profiles import login
from services.client.shares import create as share_create
from services.client.shares import lists as share_lists
from services.client.webhooks import edits as webhook_edits
from services.client.webhooks import lists as webhook_lists

__all__ = [
    "audit",
    "backends",
    "batch_command",
    "blobs",
    "collection_edits",
    "collection_lists",
    "credit",
    "edits",
    "export",
    "group",
    "i2v",
    "invoice",
    "job_commands",
    "jobs",
    "keys",
    "ledger",
    "legal_hold",
    "limits",
    "lists",
    "live",
    "log",
    "login",
    "open_page",
    "operators",
    "plans",
    "profile_lists",
    "provenance_commands",
    "reconcile",
    "retention",
    "scripts",
    "share_create",
    "share_lists",
    "stats",
    "tags",
    "tenants",
    "transfers",
    "trash",
    "url",
    "usage",
    "usage_commands",
    "users",
    "webhook_edits",
    "webhook_lists",
]
