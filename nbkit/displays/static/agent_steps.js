// What comes before an answer: the thoughts of the model, the steps of an agent, and the box in
// which a person replies to it.

// A long text in a low box, which the keyboard can scroll.
const scrolled = () => element("p", "nbkit-thought", { tabindex: "0" });

class Way {
  constructor(onReply) {
    this.onReply = onReply;
    this.thought = scrolled();
    this.thinking = element("details", "nbkit-folded", {}, element("summary", "", {}, say("Thoughts")), this.thought);
    this.steps = element("div", "nbkit-steps", { role: "log", "aria-label": say("Steps") });
    this.root = element("div", "nbkit-way", {}, this.thinking, this.steps);
    this.question = element("div", "nbkit-bar nbkit-form", { role: "group", "data-lm-suppress-shortcuts": "true" });
    this.thinking.hidden = this.steps.hidden = this.question.hidden = true;
  }

  // `thought` is all of it, `thinks` what is new.
  learn({ thought, thinks, steps, question }) {
    if (thought !== undefined) this.thought.textContent = thought;
    if (thinks) this.thought.append(thinks);
    this.thinking.hidden = !this.thought.firstChild;
    if (steps) this.showSteps(steps);
    if (question !== undefined && question !== this.asked) this.ask(question);
  }

  // Rows that stand there stay, because one may be open or read out.
  showSteps(rows) {
    this.steps.hidden = !rows.length;
    for (const [place, { line, result }] of rows.entries()) {
      const made = () => element("details", "nbkit-folded", {}, element("summary"), scrolled());
      const row = this.steps.children[place] ?? this.steps.appendChild(made());
      if (row.firstChild.textContent !== line) row.firstChild.textContent = line;
      if (row.lastChild.textContent !== result) row.lastChild.textContent = result;
    }
  }

  ask(question) {
    this.asked = question;
    this.question.hidden = !question;
    this.question.replaceChildren();
    if (!question) return;
    const box = element("input", "nbkit-say", { type: "text", "aria-label": question });
    const reply = () => this.onReply(box.value);
    box.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter" && !event.isComposing) reply();
    });
    this.question.append(element("span", "", {}, question), box, button(say("Reply"), say("Send the reply (Enter)"), reply));
  }
}
