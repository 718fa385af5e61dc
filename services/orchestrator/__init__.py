"""The orchestrator: admits jobs, runs them, tells what is going on, and settles what they cost.

Reading order: domain/job, domain/price, domain/quota, admission/admit, attempt/runner, ports, worker/workflow, app.
"""
