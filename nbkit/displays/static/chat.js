// A chat: its running turn, and a box to say something. Finished turns are static output above this
// widget, so that they stay in the file; each stays here until it is seen there. A turn's index tells
// its chunks from those of a turn that was stopped before.

function render({ model, el }) {
  const box = element("textarea", "nbkit-say", {
    rows: "1",
    placeholder: say("Ask something · Enter sends, Shift+Enter starts a new line, Esc stops"),
    "aria-label": say("Your message"),
  });
  const send = button(say("Send"), say("Send the message"), () => submit());
  const clear = button(say("Clear"), say("Forget all turns, here and in the engine's memory"), () => model.send({ type: "clear" }));
  const end = button(say("End"), say("Close the chat; the transcript stays"), () => model.send({ type: "end" }));
  const notice = element("div", "nbkit-notice", { role: "status", tabindex: "-1" });
  const place = element("div", "nbkit-turn");
  // The notebook's own keys (Shift+Enter runs the cell) must not reach past the box.
  const form = element("div", "nbkit-bar nbkit-form", { "data-lm-suppress-shortcuts": "true" }, box, send, clear, end);
  el.classList.add("nbkit-live", "nbkit-chat");
  el.append(place, notice, form);

  const turns = new Map(); // by index, what is not static output yet
  let turn = null;
  let waiting = ""; // sent, and not yet begun: a busy kernel hears it later
  let clock = { seconds: 0, at: performance.now() };

  const refresh = () => {
    const busy = Boolean(turn?.running || waiting);
    send.disabled = clear.disabled = busy;
    notice.textContent = waiting ? say("sending: {waiting}", { waiting }) : notice.textContent;
  };
  const submit = () => {
    const text = box.value.trim();
    if (!text || send.disabled) return;
    waiting = text;
    box.value = "";
    grow();
    model.send({ type: "say", text });
    box.focus(); // Send is off now
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
    submit();
  });

  const transcript = () => [...document.querySelectorAll(`[data-nbkit="${model.get("key")}-turns"]`)];
  let late = 0;
  const removeWritten = () => {
    const ended = [...turns].filter(([, one]) => !one.running);
    const written = ended.length ? Math.max(0, ...transcript().map((piece) => Number(piece.dataset.turns))) : 0;
    for (const [index, one] of ended) {
      if (index >= written) continue;
      if (one.root.contains(document.activeElement)) box.focus();
      one.root.remove();
      turns.delete(index);
    }
    late = ended.some(([index]) => index >= written) ? late + 1 : 0;
    if (late === 30 && !inOutput(el)) notice.textContent = say("The page was loaded again: what is said from here on is not kept in the file.");
  };
  const tick = () => {
    if (turn?.running) turn.tick(clock.seconds + (performance.now() - clock.at) / 1000);
    removeWritten();
    return true; // the next turn counts on
  };
  const forget = (count) => {
    for (const [index, one] of turns) {
      if (index >= count) continue;
      one.root.remove();
      turns.delete(index);
    }
    // A page that was loaded again does not get the empty transcript.
    setTimeout(() => {
      for (const piece of transcript()) if (Number(piece.dataset.turns) < count) piece.replaceChildren();
    }, 1000);
  };
  const take = (message) => {
    if (message?.notice) {
      waiting = "";
      notice.textContent = message.notice;
    }
    if (message?.cleared !== undefined) forget(message.cleared);
    for (const update of message?.cells ?? []) {
      clock = { seconds: message.t, at: performance.now() };
      const [index] = update;
      if (!turns.has(index)) {
        if (turn && index < turn.index) continue; // written, and removed
        waiting = notice.textContent = "";
        turn = new StreamCell({
          labelled: true,
          onStop: () => model.send({ type: "stop" }),
          onGap: () => model.send({ type: "resync" }),
          onReply: (text) => model.send({ type: "reply", text }),
        });
        turn.index = index;
        turns.set(index, turn);
        place.append(turn.root);
      }
      turns.get(index).take(update);
    }
    if (message?.cells) for (const one of turns.values()) one.tick(clock.seconds);
    removeWritten();
    refresh();
  };
  // The chat has ended, and this page does not know the output that says so.
  const stay = () => {
    form.hidden = true;
    notice.textContent = say("(chat ended)");
  };
  const stop = () => {
    if (!turn?.running) return false;
    turn.stopping();
    model.send({ type: "stop" });
    return true;
  };
  const lose = () => {
    turn?.lose();
    if (form.contains(document.activeElement)) notice.focus();
    for (const control of [box, send, clear, end]) control.disabled = true;
    notice.textContent = say("✗ The kernel has gone: run the cell again.");
  };
  return follow(model, el, { take, tick, lose, stay, stop });
}

export default { initialize, render };
