# %% exercise 1 · a long first wait alone proves nothing
def held_back(trace):
    return trace.ttft > 0.5 * trace.end_to_end

# %% exercise 1 · short gaps alone prove nothing
def held_back(trace):
    return not trace.gaps or max(trace.gaps) < 0.005

# %% exercise 1 · one chunk has no gaps
def held_back(trace):
    return bool(trace.gaps) and sum(trace.gaps) < 0.05 * trace.end_to_end and trace.gaps[0] < 0.005

# %% exercise 2 · it takes luck for a result
def referee(differences):
    return "a" if mean(differences) > 0 else "b"

# %% exercise 2 · one pair has no spread
def referee(differences):
    bar = 1.96 * stdev(differences) / sqrt(len(differences))
    return "noise" if abs(mean(differences)) <= bar else "a" if mean(differences) > 0 else "b"

# %% exercise 2 · Did you divide by √n
def referee(differences):
    if len(differences) < 2 or abs(mean(differences)) <= 1.96 * stdev(differences):
        return "noise"
    return "a" if mean(differences) > 0 else "b"

# %% exercise 2 · 1.96 is for many pairs
def referee(differences):
    if len(differences) < 5:
        return "noise"
    bar = 1.96 * stdev(differences) / sqrt(len(differences))
    return "noise" if abs(mean(differences)) <= bar else "a" if mean(differences) > 0 else "b"

# %% exercise 2 · How wide is the interval
def referee(differences):
    n = len(differences)
    if n < 5 or abs(mean(differences)) <= T[n] * stdev(differences) / n:
        return "noise"
    return "a" if mean(differences) > 0 else "b"

# %% exercise 2 · b − a above zero
def referee(differences):
    n = len(differences)
    if n < 5 or abs(mean(differences)) <= T[n] * stdev(differences) / sqrt(n):
        return "noise"
    return "b" if mean(differences) > 0 else "a"

# %% exercise 1 · wrong about slow_start
def held_back(trace):
    return trace.ttft / trace.end_to_end > 0.97

# %% exercise 1 · of your code: return max(trace.gaps) < 0.005
def held_back(trace):
    return max(trace.gaps) < 0.005
