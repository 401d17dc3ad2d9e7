// Where the views are. In the pages of Jupyter and Voila, what a cell shows is one output: the static twin. The script of
// its widget finds it by its class and covers it with a view for as long as the widget lives; what is saved needs no
// kernel. Elsewhere outputs have frames of their own, and the widget is displayed beside its twin.

function showOver(View) {
  const render = ({ model, el }) => {
    const view = new View(model, el);
    return () => view.remove();
  };

  const initialize = ({ model }) => {
    if (!model.get("twin")) return undefined; // it is displayed
    const twins = document.getElementsByClassName(model.get("twin"));
    const covers = new Map(); // an output -> what covers it
    const uncover = (output) => {
      const { el, remove } = covers.get(output);
      covers.delete(output);
      output.classList.remove("nbk-covered");
      remove();
      el.remove();
    };
    const look = () => {
      for (const output of covers.keys()) {
        // JupyterLab takes cells that are far from the window out of the page, with their outputs
        if (!output.isConnected && !output.closest(".jp-Cell")) uncover(output);
      }
      for (const twin of twins) {
        const output = twin.closest(".jp-OutputArea-output") ?? twin;
        if (output.classList.contains("nbk-covered")) continue; // by us, or in another view of the notebook
        const el = make("div", "nbk-cover jp-OutputArea-output");
        output.classList.add("nbk-covered");
        output.after(el);
        covers.set(output, { el, remove: render({ model, el }) });
      }
    };
    const observer = new MutationObserver(look);
    observer.observe(document.body, { childList: true, subtree: true });
    look();
    return () => {
      observer.disconnect();
      for (const output of [...covers.keys()]) uncover(output);
    };
  };

  return { initialize, render };
}
