// One stream in the page: HTML that grows, its state in a sign and in words, its sources.
// All HTML comes sanitised from the kernel; everything else is set as text.

let words = {}; // of another language, by the English ones

function say(text, values = {}) {
  return (words[text] ?? text).replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

const STATES = {
  waiting: () => say("◌ waiting for the first token"),
  thinking: () => say("◌ thinking"),
  "using tools": () => say("▸ using tools"),
  streaming: () => say("▸ streaming"),
  lost: () => say("✗ the kernel has gone: run the cell again"),
};

function element(tag, className, attributes = {}, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function button(text, title, onClick) {
  const made = element("button", "nbkit-button", { type: "button", title }, text);
  made.addEventListener("click", onClick);
  return made;
}

// Take a control away; the focus, if it is there, goes on to another element.
function hide(control, next) {
  if (control === document.activeElement) next.focus({ preventScroll: true });
  control.hidden = true;
}

// An Output has no place in the file; elsewhere a view that stays means that the page was loaded
// again, or is a second one.
function inOutput(el) {
  return Boolean(el.closest(".widget-output, .jupyter-widget-output"));
}

function plural(noun, number) {
  return say(`{number} ${noun}${number === 1 ? "" : "s"}`, { number });
}

function sourceList(rows) {
  const items = rows.map(({ name, score, excerpt }) =>
    element("li", "", {}, element("code", "", {}, name), ` ${score}`, element("br"), element("small", "", {}, excerpt)),
  );
  return [element("summary", "", {}, plural("source", rows.length)), element("ol", "nbkit-sources", {}, ...items)];
}

class StreamCell {
  constructor({ labelled, onStop, onGap, onReply }) {
    this.version = 0;
    this.facts = { state: "waiting" };
    this.done = ""; // HTML of the finished blocks
    this.html = ""; // of the open block
    this.asked = false;
    this.following = true;
    this.scrolling = false;
    this.top = 0;
    this.onGap = onGap;
    this.label = element("div", "nbkit-label");
    this.label.hidden = !labelled;
    // Finished blocks are read out as they come; the open one changes too fast to be heard.
    this.finished = element("div", "nbkit-finished", { role: "log", "aria-live": "polite" });
    this.open = element("div", "nbkit-open");
    this.text = element("div", "nbkit-text jp-RenderedHTMLCommon", { tabindex: "0", role: "group", "aria-label": say("Answer") }, this.finished, this.open);
    this.text.addEventListener("scroll", () => this.scrolled());
    this.text.addEventListener("wheel", ({ deltaY }) => (this.following &&= deltaY >= 0 || !this.text.scrollTop), { passive: true });
    this.caption = element("span", "nbkit-caption", { role: "status", "aria-live": "off" });
    this.stop = button(say("■ Stop"), say("Stop generating (Esc); keep what has arrived"), () => {
      this.stopping();
      onStop();
    });
    this.copy = button(say("Copy"), say("Copy the text so far"), () => this.copyText());
    this.bar = element("div", "nbkit-bar", {}, this.caption, this.stop, this.copy);
    this.folded = element("details", "nbkit-folded");
    this.folded.hidden = true;
    this.way = new Way(onReply);
    this.root = element("section", "nbkit-cell", { "data-state": "waiting" });
    this.root.append(this.label, this.way.root, this.text, this.way.question, this.bar, this.folded);
  }

  get running() {
    return ["waiting", "thinking", "using tools", "streaming"].includes(this.facts.state);
  }

  stopping() {
    if (!this.running) return;
    this.stop.setAttribute("aria-disabled", "true"); // `disabled` would lose the focus
    this.stop.textContent = say("stopping…");
  }

  take([, version, finished, keep, html, facts = {}]) {
    if (version <= this.version && keep >= 0) return;
    if (version < this.version) return;
    if (keep >= 0 && version > this.version + 1) {
      if (!this.asked) this.onGap();
      this.asked = true;
      return;
    }
    this.asked = false;
    this.version = version;
    // What stands there already stays: it may be selected, or being read out.
    const known = keep < 0 && finished.startsWith(this.done) ? this.done.length : 0;
    if (keep < 0 && !known) {
      this.finished.replaceChildren();
      this.done = "";
    }
    this.finished.insertAdjacentHTML("beforeend", finished.slice(known));
    this.done += finished.slice(known);
    const whole = this.html.slice(0, Math.max(keep, 0)) + html;
    if (whole !== this.html) this.open.innerHTML = this.html = whole;
    this.scroll();
    this.learn(this.facts.state === "lost" ? { state: "streaming", ...facts } : facts);
  }

  // Once a painted frame, after all writes: asking for a height between them would lay out the
  // page once a cell.
  scroll() {
    if (!this.following || this.scrolling) return;
    this.scrolling = true;
    requestAnimationFrame(() => {
      this.scrolling = false;
      if (this.following) this.text.scrollTop = this.text.scrollHeight;
    });
  }

  // Let go when the reader scrolls up (a block that shrinks moves the text, too, but stays at the
  // bottom), hold on again near the bottom, which a fast answer moves away while one goes there.
  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.text;
    const below = scrollHeight - scrollTop - clientHeight;
    if (scrollTop < this.top) this.following &&= below < 40;
    else if (below < clientHeight / 3) this.following = true;
    this.top = scrollTop;
  }

  learn(facts) {
    const changed = Object.entries(facts).some(([name, value]) => name === "state" && value !== this.facts.state);
    this.facts = { ...this.facts, ...facts };
    if (facts.label) {
      this.label.textContent = facts.label;
      this.text.setAttribute("aria-label", say("Answer: {label}", facts));
      this.stop.setAttribute("aria-label", say("■ Stop {label}", facts));
      this.copy.setAttribute("aria-description", facts.label);
    }
    if (facts.sources?.length) {
      this.folded.replaceChildren(...sourceList(facts.sources));
      this.folded.hidden = false;
    }
    this.way.learn(facts);
    if (!changed) return;
    this.root.dataset.state = this.facts.state;
    if (this.running) this.stop.hidden = false;
    else hide(this.stop, this.text);
  }

  lose() {
    if (!this.running) return;
    this.learn({ state: "lost" });
    this.tick(0);
  }

  tick(clock) {
    const caption = this.captionAt(clock);
    if (caption !== this.caption.textContent) this.caption.textContent = caption;
  }

  captionAt(clock) {
    const { state, caption, ttft, ttfo = ttft, chunks, began = 0, model, shown, note } = this.facts;
    if (caption) return note ? `${caption}\n${note}` : caption;
    const seconds = Math.max(0, clock - began);
    const rate = chunks > 1 && seconds > ttfo ? (chunks - 1) / (seconds - ttfo) : 0;
    return [
      state === "waiting" && ttft !== undefined ? say("◌ waiting for the model") : STATES[state]?.(),
      ttft !== undefined && say("TTFT {seconds} s", { seconds: ttft.toFixed(2) }),
      chunks && plural("chunk", chunks),
      rate && say("{rate} chunks/s", { rate: rate.toFixed(0) }),
      state !== "lost" && say("{seconds} s", { seconds: seconds.toFixed(1) }),
      model,
      shown && say("the first {number} characters are shown", { number: shown.toLocaleString("en") }),
    ]
      .filter(Boolean)
      .join(" · ");
  }

  async copyText() {
    try {
      await navigator.clipboard.writeText(this.text.innerText);
      this.copy.textContent = say("Copied ✓");
    } catch {
      getSelection().selectAllChildren(this.text);
      this.copy.textContent = say("Press Ctrl+C");
    }
    setTimeout(() => (this.copy.textContent = say("Copy")), 1500);
  }
}

// What this page knows of each widget, by key: how many views of it are mounted, whether the static
// output that takes its place has been seen, and what its views do if it is not (`stay`).
const pages = new Map();

function pageOf(model) {
  const key = model.get("key");
  if (!pages.has(key)) pages.set(key, { name: Math.random().toString(36).slice(2), views: 0, replaced: false, focused: false, stays: new Set() });
  return pages.get(key);
}

function tellKernel(model) {
  const { name, views, replaced } = pageOf(model);
  try {
    model.send({ type: "page", page: name, seen: views > 0, replaced });
  } catch {
    // A notebook that is being closed has let go of its kernel before its views go.
  }
}

// Once the kernel has sent static output, look for it in the page: a view may never be mounted.
function initialize({ model }) {
  words = model.get("words");
  const page = pageOf(model);
  let looking;
  let looks = 0;
  const look = () => {
    const output = document.querySelector(`[data-nbkit="${model.get("key")}"]`);
    page.replaced = Boolean(output);
    if (output && page.focused) {
      output.tabIndex = -1;
      output.focus({ preventScroll: true });
    }
    if (page.replaced) return tellKernel(model);
    looks += 1;
    if (looks === 30) for (const stay of page.stays) stay();
    looking = setTimeout(look, looks < 30 ? 100 : 2000);
  };
  const onSettled = () => model.get("settled") && !looks && look();
  model.on("change:settled", onSettled);
  tellKernel(model);
  onSettled();
  return () => {
    clearTimeout(looking);
    model.off("change:settled", onSettled);
  };
}

// Keep a view up to date with its model until it is taken away; returns what takes it away. `tick`
// is called between messages, and says whether there is anything left to count. `stay` is called if
// the page does not get the static output that would take its place, `stop` when Escape is pressed;
// it says whether there was something to stop.
function follow(model, el, { take, tick, lose, stay, stop }) {
  const page = pageOf(model);
  const onKey = (event) => {
    // An input method closes its candidates with Escape, too.
    if (event.key !== "Escape" || event.isComposing || !stop()) return;
    event.preventDefault();
    event.stopPropagation();
  };
  el.addEventListener("keydown", onKey, true);
  // The static output takes over the focus. One that goes with its element has not moved elsewhere.
  el.addEventListener("focusin", () => (page.focused = true));
  el.addEventListener("focusout", () => setTimeout(() => (page.focused &&= !el.isConnected || el.contains(document.activeElement))));
  const onCheckpoint = () => take(model.get("checkpoint"));
  model.on("msg:custom", take);
  model.on("change:checkpoint", onCheckpoint);
  model.on("comm_live_update", lose);
  const ticking = setInterval(() => tick() || clearInterval(ticking), 100);
  onCheckpoint();
  tick();
  page.views += 1;
  page.stays.add(stay);
  tellKernel(model);
  model.send({ type: "resync" });
  return () => {
    clearInterval(ticking);
    model.off("msg:custom", take);
    model.off("change:checkpoint", onCheckpoint);
    model.off("comm_live_update", lose);
    page.views -= 1;
    page.stays.delete(stay);
    tellKernel(model);
  };
}
