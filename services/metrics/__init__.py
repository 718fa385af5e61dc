"""What the metrics of any process need: bounded labels, exemplars, and the address that Prometheus reads."""
