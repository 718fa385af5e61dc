"""Who may call which method: one table of all methods, and a test that none is missing."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.orchestrator.domain.api_key import Scope
from services.orchestrator.domain.operator import Role


@dataclass(frozen=True, slots=True)
class AccessRule:
    """Who may call a method."""

    scopes: frozenset[Scope] = frozenset()
    """A tenant's key needs one of these. Empty: the method is not for tenants."""
    role: Role | None = None
    """An operator needs this role. None: the method is not for operators."""
    while_suspended: bool = True
    """Whether a suspended tenant may call it."""
    signed_url: bool = False
    """Whether the token of a signed URL is needed, and no key or other token will do."""
    live_url: bool = False
    """Whether the token of a live URL is needed, and no key or other token will do."""
    share: bool = False
    """Whether the token of a share is needed, and no key or other token will do."""
    ticket: bool = False
    """Whether the ticket of a sign-in link is needed, and no key or other token will do."""


def _tenant(*scopes: Scope, while_suspended: bool = True) -> AccessRule:
    return AccessRule(frozenset(scopes), while_suspended=while_suspended)


def _operator(role: Role) -> AccessRule:
    return AccessRule(role=role)


_PREVIEW = _tenant(Scope.SUBMIT)
_SUBMIT = _tenant(Scope.SUBMIT, while_suspended=False)
_READ = _tenant(Scope.READ)
_UPLOAD = _tenant(Scope.ASSETS, while_suspended=False)
_DOWNLOAD = _tenant(Scope.ASSETS, Scope.READ)
_USAGE = _tenant(Scope.USAGE)
_WEBHOOK = _tenant(Scope.TENANT_ADMIN, while_suspended=False)
_SIGNED_URL = AccessRule(signed_url=True)
_LIVE_URL = AccessRule(live_url=True)
_SHARE = AccessRule(share=True)
_TICKET = AccessRule(ticket=True)
_SIGN_IN = _tenant(*Scope, while_suspended=False)
_CATALOG = AccessRule(frozenset(Scope), Role.VIEWER)
_SEE_TENANT = AccessRule(frozenset({Scope.TENANT_ADMIN}), Role.VIEWER)
_MANAGE_KEYS = AccessRule(frozenset({Scope.TENANT_ADMIN}), Role.OPERATOR)
_VIEWER, _OPERATOR, _ADMIN = map(_operator, (Role.VIEWER, Role.OPERATOR, Role.ADMIN))

RULES: Mapping[str, Mapping[str, AccessRule]] = {
    "i2v.v1.JobService": {
        "SubmitJob": _SUBMIT,
        "GetJob": _READ,
        "ListJobs": _READ,
        "WatchJob": _READ,
        "CancelJob": _PREVIEW,
        "DeleteJob": _PREVIEW,
        "ResumeJob": _SUBMIT,
        "PreviewJob": _PREVIEW,
        "PreviewJobs": _PREVIEW,
        "SubmitJobs": _SUBMIT,
    },
    "i2v.v1.AssetService": {
        "WriteAsset": _UPLOAD,
        "QueryWriteStatus": _UPLOAD,
        "CreateDirectUpload": _UPLOAD,
        "FinalizeUpload": _UPLOAD,
        "ReadAsset": _DOWNLOAD,
        "GetAsset": _DOWNLOAD,
        "GetRendition": _DOWNLOAD,
        "DeleteAsset": _tenant(Scope.ASSETS),
        "RestoreAsset": _tenant(Scope.ASSETS),
        "BatchDeleteAssets": _tenant(Scope.ASSETS),
        "EmptyTrash": _tenant(Scope.ASSETS),
        "ListAssets": _DOWNLOAD,
        "GetLibraryStatistics": _DOWNLOAD,
        "UpdateAsset": _tenant(Scope.ASSETS),
        "BatchUpdateAssets": _tenant(Scope.ASSETS),
        "FavoriteAsset": _tenant(Scope.ASSETS),
        "SignUrl": _DOWNLOAD,
    },
    "i2v.v1.CollectionService": {
        "CreateCollection": _tenant(Scope.ASSETS),
        "GetCollection": _DOWNLOAD,
        "ListCollections": _DOWNLOAD,
        "UpdateCollection": _tenant(Scope.ASSETS),
        "DeleteCollection": _tenant(Scope.ASSETS),
        "AddAssets": _tenant(Scope.ASSETS),
        "RemoveAssets": _tenant(Scope.ASSETS),
    },
    "i2v.v1.ShareService": {
        "CreateShare": _tenant(Scope.ASSETS, while_suspended=False),
        "GetShare": _DOWNLOAD,
        "ListShares": _DOWNLOAD,
        "RevokeShare": _tenant(Scope.ASSETS),
    },
    "i2v.v1.WebhookService": {
        "CreateEndpoint": _WEBHOOK,
        "GetEndpoint": _tenant(Scope.TENANT_ADMIN),
        "ListEndpoints": _tenant(Scope.TENANT_ADMIN),
        "UpdateEndpoint": _tenant(Scope.TENANT_ADMIN),
        "DeleteEndpoint": _tenant(Scope.TENANT_ADMIN),
        "RotateSecret": _tenant(Scope.TENANT_ADMIN),
        "TestEndpoint": _WEBHOOK,
        "ListDeliveries": _tenant(Scope.TENANT_ADMIN),
        "ReplayDeliveries": _WEBHOOK,
    },
    "i2v.v1.SessionService": {
        "CreateSession": _SIGN_IN,
        "GetSession": _tenant(*Scope),
        "DeleteSession": _tenant(*Scope),
        "CreateSignInLink": _SIGN_IN,
        "ExchangeTicket": _TICKET,
    },
    "i2v.v1.SharedService": {
        "UnlockShared": _SHARE,
        "GetShared": _SHARE,
        "GetSharedFile": _SHARE,
        "ReadShared": _SHARE,
    },
    "i2v.v1.ProvenanceService": {"GetManifest": _DOWNLOAD, "VerifyAsset": _DOWNLOAD},
    "i2v.v1.SignedAssetService": {"GetSigned": _SIGNED_URL, "ReadSigned": _SIGNED_URL},
    "i2v.v1.LiveService": {"SignLiveUrl": _READ, "GetLive": _LIVE_URL, "ReadFragment": _LIVE_URL},
    "i2v.v1.CatalogService": {"ListModels": _CATALOG, "GetModel": _CATALOG},
    "i2v.v1.UsageService": {
        "GetUsage": _USAGE,
        "WatchUsage": _USAGE,
        "QueryUsage": _USAGE,
        "ListLedgerEntries": _USAGE,
        "StreamStatement": _USAGE,
    },
    "i2v.admin.v1.ReconcileService": {
        "ListPaidCalls": _VIEWER,
        "GetPaidCall": _VIEWER,
        "AttachPaidCall": _OPERATOR,
        "ReleasePaidCall": _OPERATOR,
        "ChargePaidCall": _OPERATOR,
        "RefundPaidCall": _OPERATOR,
    },
    "i2v.admin.v1.CostService": {"ListDailyRollups": _VIEWER, "StreamVendorCalls": _OPERATOR},
    "i2v.admin.v1.CounterAuditService": {"AuditCounters": _VIEWER},
    "i2v.admin.v1.PlanService": {"ListPlans": _VIEWER, "CheckPlans": _VIEWER},
    "i2v.admin.v1.TenantService": {
        "CreateTenant": _ADMIN,
        "GetTenant": _VIEWER,
        "ListTenants": _VIEWER,
        "SuspendTenant": _OPERATOR,
        "ResumeTenant": _OPERATOR,
        "DeleteTenant": _ADMIN,
        "SetTenantPlan": _ADMIN,
        "SetTenantCalendar": _OPERATOR,
        "ListTenantUsers": _VIEWER,
    },
    "i2v.admin.v1.LimitService": {
        "SetLimit": _OPERATOR,
        "UnsetLimit": _OPERATOR,
        "ListLimits": _VIEWER,
    },
    "i2v.admin.v1.CreditService": {"BookCredit": _ADMIN},
    "i2v.admin.v1.KeyService": {
        "CreateKey": _MANAGE_KEYS,
        "ListKeys": _SEE_TENANT,
        "RotateKey": _MANAGE_KEYS,
        "RevokeKey": _MANAGE_KEYS,
    },
    "i2v.admin.v1.OperatorService": {
        "CreateOperator": _ADMIN,
        "ListOperators": _VIEWER,
        "RevokeOperator": _ADMIN,
    },
    "i2v.admin.v1.RetentionService": {
        "GetRetention": _VIEWER,
        "RunRetention": _OPERATOR,
        "SetLegalHold": _ADMIN,
        "ClearLegalHold": _ADMIN,
        "FoldLedger": _ADMIN,
    },
    "i2v.admin.v1.AdminJobService": {
        "ListJobs": _VIEWER,
        "GetJob": _VIEWER,
        "CancelJob": _OPERATOR,
    },
    "i2v.admin.v1.BlobService": {"ScrubBlobs": _OPERATOR, "CopyBlobs": _OPERATOR, "ConfigureBlobs": _OPERATOR},
    "i2v.admin.v1.BackendService": {
        "ListBackends": _VIEWER,
        "DrainBackend": _OPERATOR,
        "UndrainBackend": _OPERATOR,
    },
    "i2v.admin.v1.UserService": {
        "DeleteUser": AccessRule(frozenset({Scope.TENANT_ADMIN}), Role.ADMIN),
        "GetUserDeletion": _SEE_TENANT,
        "ListUserDeletions": _SEE_TENANT,
    },
    "i2v.admin.v1.AuditService": {"ListAuditEntries": _SEE_TENANT},
}
"""By service and method."""

BY_PATH: Mapping[str, AccessRule] = {
    f"/{service}/{method}": rule for service, rules in RULES.items() for method, rule in rules.items()
}
"""By the path of the call, `/package.Service/Method`."""
