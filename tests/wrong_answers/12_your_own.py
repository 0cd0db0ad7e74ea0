# %% exercise 1 · how many times the throughput
def gained(rates):
    return rates[max(rates)] / rates[min(rates)]

# %% exercise 1 · neither upside down
def gained(rates):
    return rates[min(rates)] * max(rates) / rates[max(rates)]

# %% exercise 1 · is not the last one given
def gained(rates):
    *_, last = rates
    return rates[last] / (rates[min(rates)] * last / min(rates))

# %% exercise 1 · the lowest load isn't always 1
def gained(rates):
    return rates[max(rates)] / (rates[min(rates)] * max(rates))

# %% exercise 1 · throughput may fall
def gained(rates):
    found = rates.values()
    return max(found) / (min(found) * max(rates) / min(rates))

# %% exercise 1 · raised KeyError
def gained(rates):
    return rates[4] / rates[0]

# %% exercise 2 · never below 0
def off_by(real, copy):
    return statistics.median(copy) / statistics.median(real) - 1

# %% exercise 2 · a difference in seconds
def off_by(real, copy):
    return abs(statistics.median(copy) - statistics.median(real))

# %% exercise 2 · The difference is wanted
def off_by(real, copy):
    return statistics.median(copy) / statistics.median(real)

# %% exercise 2 · pulls at a mean
def off_by(real, copy):
    return abs(statistics.mean(copy) - statistics.mean(real)) / statistics.mean(real)

# %% exercise 2 · A median sorts first
def off_by(real, copy):
    a, b = real[len(real) // 2], copy[len(copy) // 2]
    return abs(a - b) / a
