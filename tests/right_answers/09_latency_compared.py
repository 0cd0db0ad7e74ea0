# %% exercise 1 · the SLO's own method, failed ones first
def kept(traces, ttft, tpot):
    slo = nbkit.SLO(ttft=ttft, tpot=tpot)
    return np.mean([bool(trace.arrivals) and slo.met_by(trace) for trace in traces])

# %% exercise 1 · a sum of ones, rounded
def kept(traces, ttft, tpot):
    n = 0
    for trace in traces:
        if trace.ttft is None:
            continue
        if trace.ttft <= ttft and trace.tpot <= tpot:
            n += 1
    return round(n / len(traces), 2)

# %% exercise 2 · the share above it, which rounding makes 0.9999999999999998 for ten
def percentile(values, percent):
    return None if len(values) * (1 - percent / 100) < 1 else np.percentile(values, percent)

# %% exercise 2 · how many it takes
def percentile(values, percent):
    if len(values) < 1 / (1 - percent / 100):
        return None
    return np.quantile(values, percent / 100)

# %% exercise 3 · relative pauses, a task group
import random
async def open_loop(ask, questions, rate):
    async with asyncio.TaskGroup() as group:
        tasks = []
        for question in questions:
            tasks.append(group.create_task(ask(question)))
            await asyncio.sleep(random.expovariate(rate))
    return tuple(task.result() for task in tasks)

# %% exercise 3 · numpy's moments
async def open_loop(ask, questions, rate):
    moments = np.cumsum(np.random.default_rng().exponential(1 / rate, len(questions)))

    async def at(moment, question):
        await asyncio.sleep(moment)
        return await ask(question)

    return await asyncio.gather(*map(at, moments, questions))
