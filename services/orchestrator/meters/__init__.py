"""The parts of the orchestrator's own Prometheus metrics, a file for each subject; docs/metrics.md lists them."""
