# %% exercise 1 · lines that end in CR and LF, as the standard allows
def sse(name, text):
    lines = "".join(f"data: {line}\r\n" for line in text.split("\n"))
    return f"event: {name}\r\n{lines}\r\n"

# %% exercise 1 · bytes
def sse(name, text):
    data = text.replace("\n", "\ndata: ")
    return f"event: {name}\ndata: {data}\n\n".encode()

# %% exercise 1 · the name comes last, and a number with it
def sse(name, text):
    written = [f"data: {line}" for line in text.split("\n")]
    return "\n".join([*written, "id: 7", f"event: {name}", "", ""])

# %% exercise 1 · FastAPI's own function
from fastapi.sse import format_sse_event
def sse(name, text):
    return format_sse_event(event=name, data_str=text)

# %% exercise 2 · line by line
def texts(reads):
    buffer = b""
    for read in reads:
        buffer += read
        while b"\n" in buffer:
            line, _, buffer = buffer.partition(b"\n")
            if line.startswith(b"data: "):
                yield str(line[6:], "utf-8")

# %% exercise 2 · a decoder keeps half a character, a string the rest
import codecs
def texts(reads):
    decoder, text = codecs.getincrementaldecoder("utf-8")(), ""
    for read in reads:
        text += decoder.decode(read)
        while (end := text.find("\n\n")) >= 0:
            event, text = text[:end], text[end + 2 :]
            if not event.startswith(":"):
                yield event.removeprefix("data: ")

# %% exercise 2 · a class, not a generator function
class texts:
    def __init__(self, reads):
        self.reads, self.buffer, self.found = iter(reads), b"", []

    def __iter__(self):
        return self

    def __next__(self):
        while not self.found:
            *whole, self.buffer = (self.buffer + next(self.reads)).split(b"\n\n")
            self.found = [event[6:].decode() for event in whole if event[:1] != b":"]
        return self.found.pop(0)
