"""Files of plans."""


def plan_table(name: str, most_micros: int, most_jobs: int) -> str:
    """A plan with the same monthly spend and unfinished jobs for the tenant and for each user."""
    limits = [
        f'{{ count = "spend", for = "{who}", per = "month", most = {most_micros} }},\n'
        f'{{ count = "unfinished", for = "{who}", most = {most_jobs} }},\n'
        for who in ("tenant", "user")
    ]
    return f"[plans.{name}]\nlimits = [\n{''.join(limits)}]\n"
