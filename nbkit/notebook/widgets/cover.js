// Where the views are. In the pages of Jupyter and Voila, what a cell shows is one output: the static twin. The script of
// its widget finds it by its class and covers it with a view for as long as the widget lives; what is saved needs no
// kernel. Elsewhere outputs have frames of their own, and the widget is displayed beside its twin.

// The widgets of the page by the classes of their twins. Each has a module of its own; all have one observer.
function watchTwins() {
  const seekers = new Map();
  const look = (node) => {
    for (const twin of node.querySelectorAll(".nbk-twin")) seekers.get(twin.classList[1])?.cover(twin);
  };
  new MutationObserver((records) => {
    if (records.some(({ removedNodes }) => removedNodes.length)) for (const seeker of seekers.values()) seeker.check();
    for (const target of new Set(records.filter(({ addedNodes }) => addedNodes.length).map(({ target }) => target))) look(target);
  }).observe(document.body, { childList: true, subtree: true });
  return { seekers, look };
}

function showOver(View) {
  const render = ({ model, el }) => {
    const view = new View(model, el);
    return () => view.remove();
  };

  const initialize = ({ model }) => {
    const name = model.get("twin");
    if (!name) return undefined; // it is displayed
    const covers = new Map(); // an output -> what covers it
    const uncover = (output) => {
      const { el, remove } = covers.get(output);
      covers.delete(output);
      output.classList.remove("nbk-covered");
      remove();
      el.remove();
    };
    const cover = (twin) => {
      const output = twin.closest(".jp-OutputArea-output") ?? twin;
      if (output.classList.contains("nbk-covered")) return; // by us, or in another view of the notebook
      const el = make("div", "nbk-cover jp-OutputArea-output");
      output.classList.add("nbk-covered");
      output.after(el);
      covers.set(output, { el, remove: render({ model, el }) });
    };
    // JupyterLab takes cells that are far from the window out of the page, with their outputs
    const check = () => {
      for (const output of covers.keys()) if (!output.isConnected && !output.closest(".jp-Cell")) uncover(output);
    };
    const { seekers, look } = (globalThis[Symbol.for("nbkit.twins")] ??= watchTwins());
    seekers.set(name, { cover, check });
    look(document);
    return () => {
      seekers.delete(name);
      for (const output of [...covers.keys()]) uncover(output);
    };
  };

  return { initialize, render };
}
