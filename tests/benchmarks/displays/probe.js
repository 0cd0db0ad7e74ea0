// Watches the output of the notebook's one cell while a display runs in it.
(() => {
  const MARKER = /⟦(\d+\.\w+)⟧/g;
  let seen = new Map();
  let tasks = [];
  let run = 0;

  new PerformanceObserver((list) => {
    tasks.push(...list.getEntries().map(({ duration }) => duration));
  }).observe({ type: "longtask" });

  const panel = () => jupyterapp.shell.currentWidget;
  const output = () => panel().content.widgets[0].outputArea.node;

  const visible = () => {
    const copy = output().cloneNode(true);
    for (const folded of copy.querySelectorAll("details:not([open])")) folded.remove();
    return copy.textContent;
  };

  // What is in the document when a frame begins is painted by that frame.
  const watch = (mine) => {
    if (mine !== run) return;
    const now = Date.now();
    for (const [, name] of output().textContent.matchAll(MARKER))
      if (!seen.has(name)) seen.set(name, now);
    requestAnimationFrame(() => watch(mine));
  };

  window.probe = {
    ended: false,
    // `late` milliseconds in which the page does nothing, once the kernel has been asked.
    start(code, late) {
      const cell = panel().content.widgets[0];
      cell.outputArea.model.clear(); // the run before left its markers there
      cell.model.sharedModel.setSource(code);
      panel().content.activeCellIndex = 0;
      seen = new Map();
      tasks = [];
      this.ended = false;
      watch(++run);
      jupyterapp.commands.execute("notebook:run-cell").then(() => { this.ended = true; });
      setTimeout(() => {
        for (const until = Date.now() + late; Date.now() < until; );
      }, 50);
    },
    missing: (names) => names.filter((name) => !seen.has(name)).length,
    stop() {
      run += 1;
      return { seen: Object.fromEntries(seen), tasks, text: visible() };
    },
    // Asked beside the cell, so that the question leaves no trace in it.
    async ask(code, expression) {
      const { kernel } = panel().sessionContext.session;
      const asked = { code, silent: true, store_history: false, user_expressions: { it: expression } };
      const { content } = await kernel.requestExecute(asked).done;
      if (content.status !== "ok") throw new Error(content.evalue);
      return content.user_expressions.it.data["text/plain"];
    },
  };
})();
