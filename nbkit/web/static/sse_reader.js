// ── Server-sent events, read as https://html.spec.whatwg.org/#event-stream-interpretation says ──
//
// A network read ends anywhere: within an event, between CR and LF, within a character. So nothing
// is taken for whole before its end has come, and what came last is kept for the next read.
//
// The browser's own EventSource does all this, but can only GET: it sends neither a question nor a
// token. It also reconnects by itself, which would ask the model again, at somebody's cost. Here
// the caller decides, and is told what it needs to: `lastEventId` and `retry` (milliseconds).

class SSEReader {
  lastEventId = "";
  retry = null;
  #decoder = new TextDecoder(); // keeps half a character until its other half has come
  #line = "";
  #afterCR = false;
  #name = "";
  #data = [];

  // The bytes of one read go in; the events that they complete come out.
  *read(bytes) {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (text === "") return;
    if (this.#afterCR && text[0] === "\n") text = text.slice(1);
    this.#afterCR = text.endsWith("\r");
    const lines = (this.#line + text).split(/\r\n|\r|\n/);
    this.#line = lines.pop();
    for (const line of lines) {
      if (line !== "") this.#field(line);
      else yield* this.#dispatch();
    }
  }

  #field(line) {
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment, sent so that the connection does not look dead
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#name = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id" && !value.includes("\0")) this.lastEventId = value;
    else if (name === "retry" && /^[0-9]+$/.test(value)) this.retry = Number(value);
  }

  *#dispatch() {
    const event = { event: this.#name || "message", data: this.#data.join("\n") };
    const filled = this.#data.length > 0;
    this.#name = "";
    this.#data = [];
    if (filled) yield { ...event, id: this.lastEventId };
  }
}

// The events of a fetch response, as they arrive. An event cut off by the end is not given.
async function* eventsOf(response) {
  const body = response.body.getReader();
  const reader = new SSEReader();
  try {
    for (;;) {
      const { done, value } = await body.read();
      if (done) return;
      yield* reader.read(value);
    }
  } finally {
    body.cancel().catch(() => {}); // whoever stops listening lets the connection go
  }
}
