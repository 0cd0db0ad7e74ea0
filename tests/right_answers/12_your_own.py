# %% exercise 1 · sorted pairs
def gained(rates):
    pairs = sorted(rates.items())
    (low, slow), (high, fast) = pairs[0], pairs[-1]
    return (fast / slow) / (high / low)

# %% exercise 2 · the larger ratio, minus one, of what is real
def off_by(real, copy):
    a, b = sorted(real)[len(real) // 2], sorted(copy)[len(copy) // 2]
    return max(a - b, b - a) / a

# %% exercise 2 · numpy
def off_by(real, copy):
    import numpy as np

    return float(abs(1 - np.median(copy) / np.median(real)))
