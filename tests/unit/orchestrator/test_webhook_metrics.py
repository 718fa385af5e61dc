from prometheus_client import CollectorRegistry

from services.orchestrator.domain.webhook import PauseReason
from services.orchestrator.meters.webhook_metrics import WebhookMetrics
from services.reasons import DeliveryReason


def test_counters_begin_at_0_so_that_the_first_is_an_increase() -> None:
    registry = CollectorRegistry()
    WebhookMetrics(registry)
    results = [("delivered", ""), *((result, reason) for result in ("failed", "dead") for reason in DeliveryReason)]
    for result, reason in results:
        assert registry.get_sample_value("i2v_webhook_tries_total", {"result": result, "reason": reason}) == 0
    for paused in PauseReason:
        assert registry.get_sample_value("i2v_webhook_endpoints_paused_total", {"reason": paused}) == 0
