# %% exercise 1 · no event arrives
def sse(name, text):
    data = text.replace("\n", "\ndata: ")
    return f"event: {name}\ndata: {data}\n"

# %% exercise 1 · a `data: ` for each line
def sse(name, text):
    first_line = text.split("\n")[0]
    return f"event: {name}\ndata: {first_line}\n\n"

# %% exercise 1 · one event named 'token' is wanted
def sse(name, text):
    return "".join(f"event: {name}\ndata: {line}\n\n" for line in text.split("\n"))

# %% exercise 1 · look at both its ends
def sse(name, text):
    lines = "".join(f"data: {line}\n" for line in text.splitlines())
    return f"event: {name}\n{lines}\n"

# %% exercise 1 · arrives, not ' Two lights:
def sse(name, text):
    lines = "".join(f"data:{line}\n" for line in text.split("\n"))
    return f"event: {name}\n{lines}\n"

# %% exercise 1 · a string or as bytes
def sse(name, text):
    return {"event": name, "data": text}

# %% exercise 1 · `async def` where `def` is wanted
async def sse(name, text):
    return f"event: {name}\ndata: {text}\n\n"

# %% exercise 1 · line 2 of your code
def sse(name, text):
    return "event: " + name + "\ndata: " + text.split("\n") + "\n\n"

# %% exercise 2 · half a character can't be decoded
def texts(reads):
    buffer = ""
    for read in reads:
        *complete, buffer = (buffer + read.decode()).split("\n\n")
        yield from (event[6:] for event in complete if event.startswith("data: "))

# %% exercise 2 · cuts go wrong, one gives
def texts(reads):
    for read in reads:
        for event in read.split(b"\n\n"):
            if event.startswith(b"data: "):
                yield event[6:].decode(errors="replace")

# %% exercise 2 · it reads everything before it yields anything
def texts(reads):
    for event in b"".join(reads).split(b"\n\n"):
        if event.startswith(b"data: "):
            yield event[6:].decode()

# %% exercise 2 · uncut, it should be
def texts(reads):
    buffer = b""
    for read in reads:
        *complete, buffer = (buffer + read).split(b"\n\n")
        yield from (event.removeprefix(b"data: ") for event in complete if event[:1] != b":")

# %% exercise 2 · write a plain generator
async def texts(reads):
    for read in reads:
        yield read.decode()

# %% exercise 2 · line 4 of your code
def texts(reads):
    buffer = b""
    for read in reads:
        *complete, buffer = (buffer + read).split("\n\n")
        yield from complete
