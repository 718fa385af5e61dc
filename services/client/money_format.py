"""How an amount of money is written: all six decimal places, because a job may cost thousandths."""

from i2v.v1 import job_pb2


def text(money: job_pb2.Money) -> str:
    """Returns `0.005000 USD`."""
    return f"{decimal(money)} {money.currency_code}".rstrip()


def decimal(money: job_pb2.Money) -> str:
    """Returns `0.005000`."""
    whole, micros = divmod(abs(money.amount_micros), 1_000_000)
    sign = "-" if money.amount_micros < 0 else ""
    return f"{sign}{whole}.{micros:06d}"
