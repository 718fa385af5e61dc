"""The services for operators, and for admins of a tenant."""

import grpc
from i2v.admin.v1 import (
    audit_pb2_grpc,
    backend_pb2_grpc,
    blob_pb2_grpc,
    cost_pb2_grpc,
    counter_audit_pb2_grpc,
    credit_pb2_grpc,
    key_pb2_grpc,
    limit_pb2_grpc,
    operator_pb2_grpc,
    plan_pb2_grpc,
    reconcile_pb2_grpc,
    retention_pb2_grpc,
    tenant_pb2_grpc,
    user_pb2_grpc,
)
from i2v.admin.v1 import job_pb2_grpc as admin_job_pb2_grpc

from services.orchestrator.admission.queue_forecasts import QueueForecasts
from services.orchestrator.api.acting import Acting
from services.orchestrator.api.admin_job_service import AdminJobService
from services.orchestrator.api.audit_service import AuditService
from services.orchestrator.api.authentication import Authentication
from services.orchestrator.api.backend_service import BackendService
from services.orchestrator.api.blob_service import BlobService
from services.orchestrator.api.cost_service import CostService
from services.orchestrator.api.counter_audit_service import CounterAuditService
from services.orchestrator.api.credit_service import CreditService
from services.orchestrator.api.key_service import KeyService
from services.orchestrator.api.limit_service import LimitService
from services.orchestrator.api.operator_service import OperatorService
from services.orchestrator.api.plan_service import PlanService
from services.orchestrator.api.reconcile_service import ReconcileService
from services.orchestrator.api.retention_service import RetentionService
from services.orchestrator.api.tenant_service import TenantService
from services.orchestrator.api.user_service import UserService
from services.orchestrator.assets.scrub import Scrub
from services.orchestrator.resources import Resources
from services.orchestrator.retention.ledger_folding import LedgerFolding
from services.orchestrator.settings import Settings
from services.orchestrator.worker.lost_submission_reconciler import Reconciler
from services.rpc.server import Registration


def open_operators(
    settings: Settings, resources: Resources, callers: Authentication, forecasts: QueueForecasts
) -> Registration:
    """Returns the services for a server."""
    store, clock, meter, catalog = resources.store, resources.clock, resources.meter, resources.config.catalog
    reconciler = Reconciler(store.jobs, store.job_events, store.paid_calls, clock, meter)
    acting = Acting(clock, store.audit_log, meter)
    plans = PlanService(resources.config.plans, catalog)
    reconcile = ReconcileService(store.jobs, store.paid_calls, acting, reconciler)
    tenants = TenantService(store.tenants, store.jobs, resources.config.plans, acting, clock, meter)
    limits = LimitService(store.limit_overrides, acting)
    credits = CreditService(store.credits, store.credentials, callers, acting)
    keys = KeyService(store.api_keys, store.tenants, acting, clock)
    operators = OperatorService(store.operators, acting)
    audit = AuditService(store.audit_log)
    folding = LedgerFolding(store.old_bookings, store.tenants, clock)
    retention = RetentionService(resources.retention, store.legal_holds, folding, acting)
    counter_audit = CounterAuditService(store.counter_audits)
    costs = CostService(store.rollups, store.paid_calls, clock)
    backends = BackendService(store.backend_drains, catalog, forecasts.wait_s, acting, clock, settings.silent_s)
    scrub = Scrub(resources.blobs, store.blob_references, clock)
    blobs = BlobService(scrub, resources.blob_copy, resources.bucket, acting, resources.library_meter)
    users = UserService(store.user_deletions, store.service_secrets, acting, clock)
    all_jobs = AdminJobService(store.job_records, store.jobs, acting, meter)

    def register(server: grpc.aio.Server) -> None:
        plan_pb2_grpc.add_PlanServiceServicer_to_server(plans, server)
        reconcile_pb2_grpc.add_ReconcileServiceServicer_to_server(reconcile, server)
        tenant_pb2_grpc.add_TenantServiceServicer_to_server(tenants, server)
        limit_pb2_grpc.add_LimitServiceServicer_to_server(limits, server)
        credit_pb2_grpc.add_CreditServiceServicer_to_server(credits, server)
        key_pb2_grpc.add_KeyServiceServicer_to_server(keys, server)
        operator_pb2_grpc.add_OperatorServiceServicer_to_server(operators, server)
        audit_pb2_grpc.add_AuditServiceServicer_to_server(audit, server)
        retention_pb2_grpc.add_RetentionServiceServicer_to_server(retention, server)
        counter_audit_pb2_grpc.add_CounterAuditServiceServicer_to_server(counter_audit, server)
        cost_pb2_grpc.add_CostServiceServicer_to_server(costs, server)
        backend_pb2_grpc.add_BackendServiceServicer_to_server(backends, server)
        blob_pb2_grpc.add_BlobServiceServicer_to_server(blobs, server)
        user_pb2_grpc.add_UserServiceServicer_to_server(users, server)
        admin_job_pb2_grpc.add_AdminJobServiceServicer_to_server(all_jobs, server)

    return register
