# %% exercise 1 · by the largest gap, from the raw arrivals
def held_back(trace):
    steps = [b - a for a, b in zip(trace.arrivals, trace.arrivals[1:])]
    return max(steps, default=0) < 0.005 and trace.ttft > 0.9 * trace.end_to_end

# %% exercise 1 · returns None for no
def held_back(trace):
    if trace.looks_buffered:
        return 1

# %% exercise 1 · how many chunks came in the last tenth of the time
def held_back(trace):
    late = [moment for moment in trace.arrivals if moment > 0.9 * trace.end_to_end]
    return len(late) > 0.8 * trace.chunks and max(trace.gaps, default=0) < 0.01

# %% exercise 2 · numpy, one pair first
import numpy as np
def referee(differences):
    n = len(differences)
    if n < 5:
        return "noise"
    middle, error = np.mean(differences), np.std(differences, ddof=1) / np.sqrt(n)
    low, high = middle - T[n] * error, middle + T[n] * error
    if low <= 0 <= high:
        return "noise"
    return "a" if low > 0 else "b"
