"""Tools that run beside the services: export.py makes the local models, tritonserver.py serves them, bench_models.py times them."""
