// A slider over steps that have names; the name of the step is what a screen reader says.

function render({ model, el }) {
  const name = document.createElement("span");
  const input = document.createElement("input");
  const label = document.createElement("label");
  const value = document.createElement("span");
  Object.assign(input, { type: "range", min: 0, step: 1 });
  value.className = "nbkit-value";
  value.setAttribute("aria-hidden", "true"); // the slider says it itself
  label.append(name, input);
  el.append(label, value);
  // The notebook's own keys (arrows choose a cell) must not reach past the slider.
  input.dataset.lmSuppressShortcuts = "true";

  const say = () => {
    const words = model.get("_options_labels")[input.valueAsNumber];
    value.textContent = words;
    input.setAttribute("aria-valuetext", words);
  };
  const show = () => {
    name.textContent = model.get("description");
    input.max = model.get("_options_labels").length - 1;
    input.value = model.get("index");
    input.disabled = model.get("disabled");
    say();
  };
  input.addEventListener("input", say);
  input.addEventListener("change", () => {
    model.set("index", input.valueAsNumber);
    model.save_changes();
  });
  model.on("change", show);
  show();
  return () => model.off("change", show);
}

export default { render };
