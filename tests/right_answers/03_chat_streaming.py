# %% exercise 1 · a stream of nbkit's
async def read_chat(engine, question):
    return [chunk async for chunk in nbkit.stream(engine.astream_chat(question))]

# %% exercise 1 · the sync row, in a thread
async def read_chat(engine, question):
    response = await asyncio.to_thread(engine.stream_chat, question)
    return await asyncio.to_thread(list, response.response_gen)

# %% exercise 1 · a tuple, collected in a loop
async def read_chat(engine, question):
    chunks = []
    async for chunk in (await engine.astream_chat(question)).async_response_gen():
        if chunk:
            chunks.append(chunk)
    return tuple(chunks)

# %% exercise 2 · LlamaIndex alone, with a mark of its own
from llama_index.core.llms import ChatMessage
async def ask_and_stop(engine, question, count):
    response = await engine.astream_chat(question)
    chunks = response.async_response_gen()
    seen = "".join([await anext(chunks) for _ in range(count)])
    response.awrite_response_to_history_task.cancel()
    await asyncio.wait([response.awrite_response_to_history_task])
    await engine._memory.aput(ChatMessage(role="assistant", content=seen + " [stopped]"))
    return seen

# %% exercise 2 · LlamaIndex alone, without a mark
from llama_index.core.llms import ChatMessage
async def ask_and_stop(engine, question, count):
    response = await engine.astream_chat(question)
    chunks = response.async_response_gen()
    seen = "".join([await anext(chunks) for _ in range(count)])
    response.awrite_response_to_history_task.cancel()
    await asyncio.wait([response.awrite_response_to_history_task])
    engine._memory.put(ChatMessage(role="assistant", content=seen))
    return seen

# %% exercise 2 · a mark on its own line
from llama_index.core.llms import ChatMessage
async def ask_and_stop(engine, question, count):
    response = await engine.astream_chat(question)
    chunks = response.async_response_gen()
    seen = "".join([await anext(chunks) for _ in range(count)])
    response.awrite_response_to_history_task.cancel()
    await asyncio.wait([response.awrite_response_to_history_task])
    engine._memory.put(ChatMessage(role="assistant", content=f"{seen}…\n\n(stopped by the reader)"))
    return seen

# %% exercise 2 · a stream of nbkit's, cancelled
async def ask_and_stop(engine, question, count):
    stream = nbkit.stream(engine.astream_chat(question))
    async for chunk in stream:
        if stream.trace.chunks >= count:
            stream.cancel()
    return stream.answer.text

# %% exercise 3 · the server's record, cleared first
async def price(mode, messages):
    server.clear()
    await converse(mode, messages)
    sent = server.requests()
    return len(sent), sum(request["prompt_tokens"] for request in sent)

# %% exercise 3 · a list, from its own conversation
async def price(mode, messages):
    engine = index.as_chat_engine(chat_mode=mode, llm=quick)
    before = len(server.requests())
    for message in messages:
        await engine.achat(message)
    sent = server.requests()[before:]
    return [len(sent), sum(request["prompt_tokens"] for request in sent)]
