// Gives nbkit's charts in the page their titles as names, for screen readers: plotly draws figures without role and name.

function nameChart(plot) {
  const title = plot?.layout?.meta === "nbkit" && plot.querySelector(".gtitle");
  if (!title) return;
  const lines = [...title.querySelectorAll(".line")];
  const name = (lines.length ? lines : [title]).map((line) => line.textContent).join(" ");
  if (plot.getAttribute("aria-label") === name) return;
  plot.setAttribute("role", "figure");
  plot.setAttribute("aria-label", name);
}

export default {
  initialize() {
    const observer = new MutationObserver((records) => {
      for (const plot of new Set(records.map(({ target }) => target.closest(".js-plotly-plot")))) nameChart(plot);
    });
    observer.observe(document.body, { childList: true, subtree: true });
    document.querySelectorAll(".js-plotly-plot").forEach(nameChart);
    return () => observer.disconnect();
  },
};
