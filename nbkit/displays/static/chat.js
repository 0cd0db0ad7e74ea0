// A chat: the turn that is running, and a box to say something. Finished turns are static output
// above this widget, so that they stay in the file.

function render({ model, el }) {
  const box = element("textarea", "nbkit-say", {
    rows: "1",
    placeholder: "Ask something · Enter sends, Shift+Enter starts a new line",
    "aria-label": "Your message",
  });
  const send = button("Send", "Send the message", () => say());
  const clear = button("Clear", "Forget all turns, here and in the engine's memory", () => model.send({ type: "clear" }));
  const end = button("End", "Close the chat; the transcript stays", () => model.send({ type: "end" }));
  const notice = element("div", "nbkit-notice", { role: "status" });
  const place = element("div", "nbkit-turn");
  // The notebook's own keys (Shift+Enter runs the cell) must not reach past the box.
  const form = element("div", "nbkit-bar nbkit-form", { "data-lm-suppress-shortcuts": "true" }, box, send, clear, end);
  el.classList.add("nbkit-live", "nbkit-chat");
  el.append(place, notice, form);

  let turn = null;
  let index = -1;
  let waiting = ""; // sent, and not yet begun: a busy kernel hears it later
  let clock = { seconds: 0, at: performance.now() };

  const refresh = () => {
    const busy = Boolean(turn?.running || waiting);
    send.disabled = clear.disabled = busy;
    notice.textContent = waiting ? `sending: ${waiting}` : notice.textContent;
  };
  const say = () => {
    const text = box.value.trim();
    if (!text || send.disabled) return;
    waiting = text;
    box.value = "";
    grow();
    model.send({ type: "say", text });
    refresh();
  };
  const grow = () => {
    box.style.height = "auto";
    box.style.height = `${Math.min(box.scrollHeight + 2, 160)}px`;
  };
  box.addEventListener("input", grow);
  box.addEventListener("keydown", (event) => {
    event.stopPropagation();
    // An input method confirms its candidates with Enter, too.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    say();
  });

  const tick = () => {
    if (turn?.running) turn.tick(clock.seconds + (performance.now() - clock.at) / 1000);
    return true; // the next turn counts on
  };
  const take = (message) => {
    if (message?.notice) {
      waiting = "";
      notice.textContent = message.notice;
    }
    for (const update of message?.cells ?? []) {
      clock = { seconds: message.t, at: performance.now() };
      if (update[0] < index) continue;
      if (update[0] > index) {
        index = update[0];
        waiting = notice.textContent = "";
        turn = new StreamCell({
          labelled: true,
          onStop: () => model.send({ type: "stop" }),
          onGap: () => model.send({ type: "resync" }),
        });
        place.replaceChildren(turn.root);
      }
      turn.take(update);
      tick();
      if (!turn.running) place.replaceChildren();
    }
    refresh();
  };
  const lose = () => {
    turn?.lose();
    for (const control of [box, send, clear, end]) control.disabled = true;
    notice.textContent = "✗ The kernel has gone: run the cell again.";
  };
  return follow(model, { take, tick, lose });
}

export default { render };
