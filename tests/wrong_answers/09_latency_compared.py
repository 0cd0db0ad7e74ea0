# %% exercise 1 · its `.ttft` is None
def kept(traces, ttft, tpot):
    return sum(trace.ttft <= ttft and trace.tpot <= tpot for trace in traces) / len(traces)

# %% exercise 1 · Count it in n
def kept(traces, ttft, tpot):
    answered = [trace for trace in traces if trace.chunks]
    return sum(t.ttft <= ttft and t.tpot <= tpot for t in answered) / len(answered)

# %% exercise 1 · A gap isn't a TPOT
def kept(traces, ttft, tpot):
    answered = [trace for trace in traces if trace.chunks]
    met = [t.ttft <= ttft and max(t.gaps) <= tpot for t in answered]
    return sum(met) / len(traces)

# %% exercise 1 · one limit only
def kept(traces, ttft, tpot):
    return sum(trace.chunks > 0 and trace.ttft <= ttft for trace in traces) / len(traces)

# %% exercise 1 · list index out of range
def kept(traces, ttft, tpot):
    met = [trace.arrivals[0] - trace.start <= ttft and trace.tpot <= tpot for trace in traces]
    return sum(met) / len(traces)

# %% exercise 1 · is an `await` missing
async def kept(traces, ttft, tpot):
    return 0.4

# %% exercise 2 · even the p99 of twenty
def percentile(values, percent):
    return float(np.percentile(values, percent))

# %% exercise 2 · to refuse are
def percentile(values, percent):
    return float(np.percentile(values, percent)) if len(values) >= 30 else None

# %% exercise 2 · aren't those of `np.percentile`
def percentile(values, percent):
    if len(values) * (100 - percent) < 100:
        return None
    return sorted(values)[int(len(values) * percent / 100)]

# %% exercise 3 · a closed loop
async def open_loop(ask, questions, rate):
    results = []
    for question in questions:
        results.append(await ask(question))
        await asyncio.sleep(1 / rate)
    return results

# %% exercise 3 · they all came at once
async def open_loop(ask, questions, rate):
    return await asyncio.gather(*(ask(question) for question in questions))

# %% exercise 3 · the pauses are all alike
async def open_loop(ask, questions, rate):
    tasks = []
    for question in questions:
        tasks.append(asyncio.create_task(ask(question)))
        await asyncio.sleep(1 / rate)
    return await asyncio.gather(*tasks)

# %% exercise 3 · takes the rate itself
import random
async def open_loop(ask, questions, rate):
    tasks = []
    for question in questions:
        tasks.append(asyncio.create_task(ask(question)))
        await asyncio.sleep(random.expovariate(1 / rate) + 0.2)
    return await asyncio.gather(*tasks)
