// The live view of one streaming answer. Text arrives as increments
// {from, to, text}, counted in code points; a gap is closed by asking for all of it.

function line(parts) {
  return parts.filter(Boolean).join(" · ");
}

function captionOf(shown, seconds) {
  if (shown.ttft === undefined) return line(["◌ waiting for the first token", `${seconds.toFixed(1)} s`]);
  return line([
    "▸ streaming",
    `TTFT ${shown.ttft.toFixed(2)} s`,
    `${shown.chunks} chunk${shown.chunks === 1 ? "" : "s"}`,
    shown.rate && `${shown.rate.toFixed(0)} chunks/s`,
    `${seconds.toFixed(1)} s`,
    shown.model,
  ]);
}

function element(tag, className, attributes = {}) {
  const made = document.createElement(tag);
  made.className = className;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function sourceList(rows) {
  const list = element("ol", "nbkit-sources");
  for (const { name, score, excerpt } of rows) {
    const item = element("li", "");
    const label = element("code", "");
    label.textContent = name;
    const opening = element("small", "");
    opening.textContent = excerpt;
    item.append(label, ` ${score}`, element("br", ""), opening);
    list.append(item);
  }
  return list;
}

function render({ model, el }) {
  const text = element("div", "nbkit-text", { role: "log", "aria-live": "polite", "aria-label": "Answer" });
  const content = document.createTextNode("");
  text.append(content);
  const caption = element("span", "nbkit-caption", { role: "status", "aria-live": "off" });
  const stop = element("button", "nbkit-stop", { type: "button", title: "Stop generating; keep what has arrived" });
  stop.textContent = "■ Stop";
  const bar = element("div", "nbkit-bar");
  bar.append(caption, stop);
  const folded = element("details", "nbkit-folded");
  folded.hidden = true;
  el.classList.add("nbkit-live");
  el.append(text, bar, folded);

  let end = 0; // code points shown
  let shown = {};
  let clock = { elapsed: 0, at: performance.now() };
  let asked = false;

  const tick = () => {
    const seconds = clock.elapsed + (performance.now() - clock.at) / 1000;
    caption.textContent = captionOf(shown, seconds);
  };

  const take = (update) => {
    if (update.to === undefined || update.to <= end) return;
    if (update.from > end) {
      if (!asked) model.send({ type: "resync" });
      asked = true;
      return;
    }
    const following = text.scrollHeight - text.scrollTop - text.clientHeight < 40;
    if (update.from === end) content.appendData(update.text);
    else content.data = [...content.data].slice(0, update.from).join("") + update.text;
    end = update.to;
    asked = false;
    shown = update;
    clock = { elapsed: update.elapsed, at: performance.now() };
    tick();
    if (following) text.scrollTop = text.scrollHeight;
  };

  const showSources = () => {
    const rows = model.get("sources");
    if (!rows.length) return;
    const summary = element("summary", "");
    summary.textContent = `${rows.length} source${rows.length === 1 ? "" : "s"}`;
    folded.replaceChildren(summary, sourceList(rows));
    folded.hidden = false;
  };

  const onMessage = (message) => {
    if (message.type === "text") take(message);
  };
  const onCheckpoint = () => take(model.get("checkpoint"));
  stop.addEventListener("click", () => {
    stop.disabled = true;
    stop.textContent = "stopping…";
    model.send({ type: "stop" });
  });
  model.on("msg:custom", onMessage);
  model.on("change:checkpoint", onCheckpoint);
  model.on("change:sources", showSources);
  const ticking = setInterval(tick, 100);

  showSources();
  onCheckpoint();
  tick();
  model.send({ type: "resync" });

  return () => {
    clearInterval(ticking);
    model.off("msg:custom", onMessage);
    model.off("change:checkpoint", onCheckpoint);
    model.off("change:sources", showSources);
  };
}

export default { render };
