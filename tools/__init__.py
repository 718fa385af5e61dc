"""Development tools: export makes the local models, tritonserver serves them, bench_models times them."""
