"""The orchestrator: admits jobs, runs them, reports progress, and settles what they cost.

Reading order: domain/job, domain/price, domain/quota, admission/admit, attempt/runner, ports, worker/workflow, app.
"""
