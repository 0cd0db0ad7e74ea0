# %% exercise 1 · of the chunks you counted are empty
def collect(response):
    chunks = list(response.response_gen)
    return "".join(chunks), len(chunks)

# %% exercise 1 · you counted characters
def collect(response):
    text = "".join(response.response_gen)
    return text, len(text)

# %% exercise 1 · nothing was returned
def collect(response):
    text, count = "", 0
    for chunk in response.response_gen:
        text += chunk
        count += bool(chunk)

# %% exercise 2 · Skip the empty first chunk
def first_token(engine, question):
    began = time.perf_counter()
    for chunk in engine.query(question).response_gen:
        return time.perf_counter() - began

# %% exercise 2 · Leave at the first chunk
def first_token(engine, question):
    began = time.perf_counter()
    for chunk in engine.query(question).response_gen:
        if chunk:
            taken = time.perf_counter() - began
    return time.perf_counter() - began

# %% exercise 2 · start it outside the loop
def first_token(engine, question):
    for chunk in engine.query(question).response_gen:
        began = time.perf_counter()
        if chunk:
            return time.perf_counter() - began
