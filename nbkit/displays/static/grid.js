// One stream, or several side by side, kept up to date by one message a frame.

function render({ model, el }) {
  const cells = [];
  const race = model.get("race");
  const grid = element("div", "nbkit-grid");
  const clockFace = element("strong", "nbkit-clock", { role: "timer", "aria-live": "off" });
  const stop = () => {
    if (!cells.some((cell) => cell.running)) return false;
    for (const cell of cells) cell.stopping();
    model.send({ type: "stop", index: null });
    return true;
  };
  const stopAll = button(say("■ Stop all"), say("Stop all of them (Esc); keep what has arrived"), stop);
  const head = element("div", "nbkit-bar nbkit-head", {}, clockFace, stopAll);
  el.classList.add("nbkit-live");
  el.append(head, grid);

  let clock = { seconds: 0, at: performance.now() };
  const now = () => clock.seconds + (performance.now() - clock.at) / 1000;

  const cellAt = (index, many) => {
    cells[index] ??= new StreamCell({
      labelled: many,
      onStop: () => model.send({ type: "stop", index }),
      onGap: () => model.send({ type: "resync" }),
      onReply: (text) => model.send({ type: "reply", index, text }),
    });
    if (!cells[index].root.isConnected) grid.append(cells[index].root);
    return cells[index];
  };

  const tick = () => {
    const running = cells.filter((cell) => cell.running);
    const seconds = now();
    for (const cell of cells) cell.tick(seconds);
    const ended = cells.length - running.length;
    clockFace.textContent = say("{seconds} s · {ended} of {all} finished", { seconds: seconds.toFixed(1), ended, all: cells.length });
    if (running.length) stopAll.hidden = false;
    else hide(stopAll, cells[0]?.text);
    if (race) drawLanes(cells, seconds);
    return running.length > 0;
  };

  const take = (frame) => {
    if (!frame?.cells) return;
    const many = frame.cells.length > 1 || cells.length > 1;
    clock = { seconds: frame.t, at: performance.now() };
    for (const update of frame.cells) cellAt(update[0], many).take(update);
    el.classList.toggle("nbkit-many", many);
    head.hidden = !many;
    if (!cells.some((cell) => cell.running)) tick();
  };
  const lose = () => cells.forEach((cell) => cell.lose());
  const stay = () => {
    if (inOutput(el)) return;
    for (const cell of cells) cell.learn({ note: say("Run the cell again to keep this answer in the file.") });
    tick();
  };
  return follow(model, el, { take, tick, lose, stay, stop });
}

// A lane a runner: hollow while it waits for the first token, solid while it streams.
function drawLanes(cells, seconds) {
  const longest = Math.max(1, seconds);
  for (const cell of cells) {
    cell.lane ??= cell.bar.insertAdjacentElement("beforebegin", element("div", "nbkit-lane", { "aria-hidden": "true" }, element("i"), element("b")));
    const { began = 0, ttft, took } = cell.facts;
    const end = took ?? seconds - began;
    const waited = Math.min(ttft ?? end, end);
    cell.lane.firstChild.style.width = `${(100 * waited) / longest}%`;
    cell.lane.lastChild.style.width = `${(100 * (end - waited)) / longest}%`;
  }
}

export default { initialize, render };
