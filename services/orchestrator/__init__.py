"""The orchestrator: admits jobs, runs them, tells what is going on, and settles what they cost.

Reading order: domain/job, domain/price, domain/quota, admit, execute, ports, workflow, app.
"""
