# %% exercise 1 · a stream may also just end
async def whole(events):
    text = ""
    async for event in events:
        data = json.loads(event.data)
        if event.event == "error":
            raise RuntimeError(data["message"])
        if event.event == "token":
            text += data["text"]
    return text

# %% exercise 1 · the server gave a reason
async def whole(events):
    text, last = "", ""
    async for event in events:
        last = event.event
        if last == "token":
            text += json.loads(event.data)["text"]
    if last != "done":
        raise RuntimeError("not whole")
    return text

# %% exercise 1 · a whole answer is '24 months'
async def whole(events):
    return "".join([json.loads(event.data)["text"] async for event in events])

# %% exercise 2 · it asks again at once
async def ask_patiently(post, wait):
    for _ in range(3):
        response = await post()
        if response.status_code != 503:
            break
    return response

# %% exercise 2 · the server says 2, then 1
async def ask_patiently(post, wait):
    for _ in range(3):
        response = await post()
        if response.status_code != 503:
            break
        await wait(1)
    return response

# %% exercise 2 · a 401 won't change
async def ask_patiently(post, wait):
    for _ in range(3):
        response = await post()
        if response.is_success:
            break
        await wait(int(response.headers["Retry-After"]))
    return response

# %% exercise 2 · is asked 10 times
async def ask_patiently(post, wait):
    while (response := await post()).status_code == 503:
        await wait(int(response.headers["Retry-After"]))
    return response

# %% exercise 2 · after the third time it still waits
async def ask_patiently(post, wait):
    for _ in range(3):
        response = await post()
        if response.status_code != 503:
            break
        await wait(int(response.headers["Retry-After"]))
    return response
