# %% exercise 1 · Two are too few
def workers_for(questions, cpu, per_minute, hours):
    if questions > per_minute * 60 * hours:
        return None
    return max(1, round(questions * cpu / (hours * 3600)))

# %% exercise 1 · An hour has 3,600 seconds
def workers_for(questions, cpu, per_minute, hours):
    if questions > per_minute * 60 * hours:
        return None
    return max(1, math.ceil(questions * cpu / (hours * 60)))

# %% exercise 1 · in two hours, 2 are enough
def workers_for(questions, cpu, per_minute, hours):
    if questions > per_minute * 60 * hours:
        return None
    return max(1, math.ceil(questions * cpu / 3600))

# %% exercise 1 · 59 a minute are too few
def workers_for(questions, cpu, per_minute, hours):
    return max(1, math.ceil(questions * cpu / (hours * 3600)))

# %% exercise 1 · 60 a minute are enough
def workers_for(questions, cpu, per_minute, hours):
    if questions >= per_minute * 60 * hours:
        return None
    return max(1, math.ceil(questions * cpu / (hours * 3600)))

# %% exercise 1 · You gave None
def workers_for(questions, cpu, per_minute, hours):
    if questions > per_minute * hours:
        return None
    return max(1, math.ceil(questions * cpu / (hours * 3600)))

# %% exercise 1 · at least one, not 0
def workers_for(questions, cpu, per_minute, hours):
    if questions > per_minute * 60 * hours:
        return None
    return int((questions * cpu + hours * 3600 - 1) // (hours * 3600))

# %% exercise 2 · two strings are wanted
def make_cited():
    return nbkit.load_index("en").as_query_engine(llm=nbkit.connect(url, model=name)).aquery

# %% exercise 2 · where a function was expected
def make_cited():
    return nbkit.load_index("en").as_query_engine(llm=nbkit.connect(url, model=name))

# %% exercise 2 · made outside of it
def make_cited():
    async def ask(question):
        response = await engine.aquery(question)
        return str(response), response.source_nodes[0].metadata["file_name"]

    return ask

# %% exercise 2 · function without arguments
async def make_cited(question):
    response = await make_ask()(question)
    return str(response), response.source_nodes[0].metadata["file_name"]

# %% exercise 2 · first the text, then the file
def make_cited():
    mine = nbkit.load_index("en").as_query_engine(llm=nbkit.connect(url, model=name))

    async def ask(question):
        response = await mine.aquery(question)
        return response.source_nodes[0].metadata["file_name"], str(response)

    return ask

# %% exercise 2 · the file is wanted
def make_cited():
    mine = nbkit.load_index("en").as_query_engine(llm=nbkit.connect(url, model=name))

    async def ask(question):
        response = await mine.aquery(question)
        return str(response), response.source_nodes[0].text

    return ask

# %% exercise 2 · the text is wanted
def make_cited():
    mine = nbkit.load_index("en").as_query_engine(llm=nbkit.connect(url, model=name))

    async def ask(question):
        response = await mine.aquery(question)
        return question, response.source_nodes[0].metadata["file_name"]

    return ask

# %% exercise 2 · has no attribute 'sources'
def make_cited():
    mine = nbkit.load_index("en").as_query_engine(llm=nbkit.connect(url, model=name))

    async def ask(question):
        response = await mine.aquery(question)
        return str(response), response.sources[0].metadata["file_name"]

    return ask

# %% exercise 2 · async
def make_cited():
    mine = nbkit.load_index("en").as_query_engine(llm=nbkit.connect(url, model=name))

    def ask(question):
        response = mine.query(question)
        return str(response), response.source_nodes[0].metadata["file_name"]

    return ask
