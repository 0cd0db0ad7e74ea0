"""Numbers from timed requests: percentiles, their intervals, goodput, and points under load."""
