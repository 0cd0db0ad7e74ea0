# %% exercise 1 · negative floor division, minutes
def workers_for(questions, cpu, per_minute, hours):
    minutes = 60 * hours
    if per_minute * minutes < questions:
        return
    return max(1, int(-(-questions * cpu // (60 * minutes))))

# %% exercise 1 · counts up
def workers_for(questions, cpu, per_minute, hours):
    if questions / per_minute / 60 > hours:
        return None
    workers = 1
    while questions * cpu / workers > hours * 3600:
        workers += 1
    return workers

# %% exercise 2 · streaming, and a list
def make_cited():
    ask = make_ask()

    async def cited(question):
        response = await ask(question)
        text = [chunk async for chunk in response.async_response_gen()]
        return ["".join(text), response.source_nodes[0].node.metadata["file_name"]]

    return cited

# %% exercise 2 · a class
def make_cited():
    class Cited:
        def __init__(self):
            model = nbkit.connect(url, model=name)
            self.engine = nbkit.load_index("en").as_query_engine(llm=model)

        async def ask(self, question):
            response = await self.engine.aquery(question)
            return response.response, response.source_nodes[0].metadata["file_name"]

    return Cited().ask
