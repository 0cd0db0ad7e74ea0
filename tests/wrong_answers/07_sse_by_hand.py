# %% exercise 1 · the event has no end
def sse(name, text):
    return f"event: {name}\ndata: {text}"

# %% exercise 1 · a `data:` for each line
def sse(name, text):
    first_line = text.split("\n")[0]
    return f"event: {name}\ndata: {first_line}\n\n"

# %% exercise 1 · one event named 'token' is wanted
def sse(name, text):
    return "".join(f"event: {name}\ndata: {line}\n\n" for line in text.split("\n"))

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
