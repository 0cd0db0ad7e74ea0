// ── The page ──

const WORDS = {{words}}; // of another language, by the English ones

function say(text, values = {}) {
  return (WORDS[text] ?? text).replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

function plural(noun, number) {
  return say(`{number} ${noun}${number === 1 ? "" : "s"}`, { number });
}

const TRIES = 5; // for a server that says it is busy; then a person decides
const find = (selector, root = document) => root.querySelector(selector);
const [composer, question, send, stop] = ["#composer", "#question", "#send", "#stop"].map((id) => find(id));
const [turns, hint, fresh, status] = ["#turns", "#hint", "#new", "#status"].map((id) => find(id));
const modes = document.documentElement.dataset.modes.split(" ");
const HINTS = {
  query: say("Nothing is remembered between questions."),
  chat: say("The server remembers this conversation."),
};
const said = { done: say("Answer done."), stopped: say("Answer stopped."), failed: say("Answer failed.") };
const token = takeToken();
let mode = modes[0];
let session = null; // of the chat, by the name the server gave it
let running = null; // the answer being written

// The token comes after the # of the address, which is never sent anywhere. It is taken out of
// sight (there may be a projector), and kept for a reload of this tab: by its path, since behind a hub
// the pages of several servers share one store.
function takeToken() {
  const given = location.hash.slice(1);
  const name = `token of ${location.pathname}`;
  try {
    if (given) {
      sessionStorage.setItem(name, given);
      history.replaceState(null, "", location.pathname);
    }
    return sessionStorage.getItem(name) ?? "";
  } catch {
    return given; // a frame that may not store
  }
}

function headers() {
  return { "X-Token": token, "Content-Type": "application/json", "Accept": "text/event-stream" };
}

// ── One turn on the page ──

const SIGNS = { running: "◌", done: "✓", failed: "✗" };

class Turn {
  constructor(words) {
    this.words = words;
    this.root = find("#turn").content.firstElementChild.cloneNode(true);
    this.parts = Object.fromEntries(
      ["question", "answer", "finished", "open", "trouble", "caption", "sources", "again", "thoughts", "steps"]
        .map((name) => [name, find(`.${name}`, this.root)]));
    this.parts.question.textContent = words;
    this.parts.again.onclick = () => ask(words);
    this.abort = new AbortController();
    this.chunks = 0;
    this.begun = performance.now();
    this.clock = setInterval(() => this.tick(), 100);
    this.tick();
    turns.append(this.root);
    turns.scrollTop = turns.scrollHeight;
  }

  get state() { return this.root.dataset.state; }
  get seconds() { return (performance.now() - this.begun) / 1000; }

  tick() {
    const waited = say("{seconds} s", { seconds: this.seconds.toFixed(1) });
    if (this.state === "waiting") this.caption(this.busy ? say("busy, waiting {waited}", { waited }) : say("waiting {waited}", { waited }));
    else this.caption(`${this.toFirst(this.ttft)} · ${waited}`);
  }

  toFirst(ttft) { return say("TTFT {seconds} s", { seconds: ttft.toFixed(2) }); }

  caption(words) { this.parts.caption.textContent = words; }

  // What keeps the newest line in sight, unless the reader has scrolled up.
  following(change) {
    const near = turns.scrollHeight - turns.scrollTop - turns.clientHeight < 60;
    change();
    if (near) turns.scrollTop = turns.scrollHeight;
  }

  sources({ sources }) {
    const { sources: folded } = this.parts;
    folded.hidden = sources.length === 0;
    find("summary", folded).textContent = plural("source", sources.length);
    find("ol", folded).replaceChildren();
    for (const { name, score, excerpt } of sources) {
      const item = document.createElement("li");
      const title = document.createElement("b");
      title.textContent = name;
      item.append(title, score === null ? "" : ` ${score.toFixed(3)}`, document.createElement("br"), excerpt);
      find("ol", folded).append(item);
    }
  }

  thinking({ text }) {
    this.parts.thoughts.hidden = false;
    find("p", this.parts.thoughts).append(text);
  }

  // A row for each call of a tool, which can be opened to read what it returned.
  step({ number, tool, arguments: given, state, seconds, result }) {
    const row = this.parts.steps.children[number] ?? this.parts.steps.appendChild(find("#step").content.firstElementChild.cloneNode(true));
    const told = Object.entries(given).map(([name, value]) => `${name}=${value}`).join(", ");
    const took = seconds === null ? "" : say(" · {seconds} s", { seconds: seconds.toFixed(2) });
    find("summary", row).textContent = `${SIGNS[state]} ${tool}(${told})${took}`;
    find("p", row).textContent = result;
  }

  token({ finished, open }) {
    if (this.state === "waiting") {
      this.ttft = this.seconds;
      this.root.dataset.state = "writing";
      this.tick();
      announce(say("The answer is being written."));
    }
    if (open === undefined) return this.overlong();
    this.following(() => {
      // The server has made this HTML from Markdown and sanitised it; the policy of this page
      // would let no script in it run, and nothing in it load.
      for (const block of finished) this.parts.finished.insertAdjacentHTML("beforeend", block);
      this.parts.open.innerHTML = open;
    });
    this.scrollable();
  }

  // What is too wide for the page can be scrolled by keyboard, too: not every browser sees to that.
  scrollable() {
    for (const wide of this.parts.answer.querySelectorAll(":is(pre, table):not([tabindex])")) {
      if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
    }
  }

  overlong() {
    this.parts.trouble.hidden = false;
    this.parts.again.hidden = true;
    find("span", this.parts.trouble).textContent = say("The answer goes on; this page shows no more of it.");
  }

  end(state, words, trouble = "") {
    clearInterval(this.clock);
    this.root.dataset.state = state;
    this.parts.answer.setAttribute("aria-busy", "false");
    this.following(() => {
      this.caption(words);
      if (trouble === "") return;
      find("span", this.parts.trouble).textContent = trouble;
      this.parts.trouble.hidden = this.parts.again.hidden = false;
    });
    announce(said[state]); // the trouble is an alert, so it is read out by itself
  }

  done({ ttft, end_to_end, chunks, stopped }) {
    const parts = [stopped ? say("stopped by the server") : say("done")];
    if (this.ttft !== undefined) parts.push(say("TTFT {seconds} s ({there} s at the server)", { seconds: this.ttft.toFixed(2), there: ttft.toFixed(2) }));
    parts.push(plural("chunk", chunks));
    if (end_to_end !== null) parts.push(say("{seconds} s in all", { seconds: this.seconds.toFixed(1) }));
    this.end(stopped ? "stopped" : "done", parts.join(" · "));
  }

  error({ message }) { this.end("failed", this.told(say("failed")), message); }

  // The server sees that nobody reads any more and stops the model, unless a proxy in between reads
  // on: so it is told as well.
  stop() {
    this.abort.abort();
    if (this.name) remove(`answers/${this.name}`);
  }

  stopped() { this.end("stopped", this.told(say("stopped"))); }

  told(state) {
    const ttft = this.ttft === undefined ? "" : ` · ${this.toFirst(this.ttft)}`;
    return `${state}${ttft} · ${say("after {seconds} s", { seconds: this.seconds.toFixed(1) })}`;
  }
}

// ── Asking ──

async function ask(words) {
  if (running) return;
  const turn = (running = new Turn(words));
  show();
  try {
    const response = await post(turn);
    if (!response.ok) return turn.error({ message: await reason(response) });
    turn.name = response.headers.get("X-Answer");
    session = response.headers.get("X-Session") ?? session;
    for await (const { event, data } of eventsOf(response)) {
      if (["sources", "thinking", "step", "token", "done", "error"].includes(event)) turn[event](JSON.parse(data));
    }
    if (["waiting", "writing"].includes(turn.state)) lost(turn);
  } catch (error) {
    if (turn.abort.signal.aborted) turn.stopped();
    else lost(turn, error);
  } finally {
    running = null;
    show();
  }
}

// A server that is busy has not begun to answer, so it may be asked again when it says. Once an
// answer has begun it never is: the model would write, and be paid for, a second time.
async function post(turn) {
  const asked = mode === "chat" ? { message: turn.words, session } : { question: turn.words };
  for (let tries = 1; ; tries++) {
    const response = await fetch(mode, {
      method: "POST", headers: headers(), body: JSON.stringify({ ...asked, html: true }), signal: turn.abort.signal,
    });
    const wait = Number(response.headers.get("Retry-After"));
    if (response.ok || !wait || tries === TRIES) return response;
    turn.busy = true;
    await pause(wait * 1000, turn.abort.signal);
  }
}

function remove(what) {
  fetch(what, { method: "DELETE", headers: headers() }).catch(() => {});
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", reject, { once: true });
  });
}

async function reason(response) {
  const said = await response.json().catch(() => ({}));
  if (response.status === 404 && mode === "chat") session = null;
  return said.detail ?? say("The server said {status}.", { status: response.status });
}

function lost(turn) {
  const writing = turn.state === "writing";
  turn.error({ message: writing ? say("The connection to the server was lost — what had arrived is kept. Is its notebook, or its shell, still running?") : say("The connection to the server was lost — Is its notebook, or its shell, still running?") });
}

// ── What the controls do ──

function announce(words) { status.textContent = words; }

function show() {
  const focused = document.activeElement ?? document.body;
  send.hidden = running !== null;
  stop.hidden = running === null;
  for (const input of document.querySelectorAll("#modes input, #new")) input.disabled = running !== null;
  for (const again of document.querySelectorAll(".again")) again.disabled = running !== null;
  hint.textContent = HINTS[mode];
  fresh.hidden = mode !== "chat" || turns.childElementCount === 0;
  send.textContent = mode === "chat" ? say("Send") : say("Ask");
  question.placeholder = mode === "chat" ? say("Say something") : say("Ask a question");
  // A button that goes, or goes off, would take the focus with it.
  if (focused.hidden || focused.disabled) question.focus();
}

function begin() {
  if (session) remove(`chat/${session}`);
  session = null;
  turns.replaceChildren();
  show();
}

composer.onsubmit = (event) => {
  event.preventDefault();
  const words = question.value.trim();
  if (words === "" || running) return;
  question.value = "";
  ask(words);
};
question.onkeydown = (event) => {
  // While a Chinese or Japanese word is being composed, Enter chooses it.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  composer.requestSubmit();
};
stop.onclick = () => running?.stop();
document.onkeydown = (event) => { if (event.key === "Escape" && !event.isComposing) running?.stop(); };
fresh.onclick = () => {
  begin();
  question.focus();
};
find("#modes").onchange = (event) => {
  mode = event.target.value;
  begin();
  if (!event.target.matches(":focus-visible")) question.focus(); // arrow keys go on choosing
};

// The whole address, pasted where the page is already open without its token, does not load it again by itself.
onhashchange = () => location.reload();

document.documentElement.toggleAttribute("data-framed", window !== top);
find("#modes").hidden = modes.length < 2;
if (token === "") {
  composer.hidden = true;
  hint.textContent = say("This page needs its whole address, with what stands after the #: take it from the notebook or the shell that serves it.");
} else {
  show();
  // In a notebook the keyboard is the notebook's.
  if (window === top) question.focus();
  else Object.assign(find("#tab"), { href: `${location.pathname}#${token}`, hidden: false });
}
