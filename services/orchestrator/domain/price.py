"""Prices are whole micros (millionths) of one currency, so sums are exact."""

CURRENCY = "USD"
"""Every price, budget and booking of one installation is in this currency."""


def price(duration_ms: int, per_second_micros: int) -> int:
    """Returns the price of a video in micros, a started micro counted whole."""
    return -(-duration_ms * per_second_micros // 1000)


def partial_charge(quote_micros: int, made: int, total: int) -> int:
    """Returns what a stopped job costs: its share of frames made, a started micro counted whole, at most the quote."""
    if total <= 0 or made <= 0:
        return 0
    return min(quote_micros, -(-quote_micros * made // total))


def show(micros: int) -> str:
    """Returns an amount for people: `0.005000 USD`."""
    sign = "-" if micros < 0 else ""
    whole, part = divmod(abs(micros), 1_000_000)
    return f"{sign}{whole}.{part:06d} {CURRENCY}"
