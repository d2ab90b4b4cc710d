"use strict";
// Plots: the specs come with the page, and are drawn in the page's own colours.

(() => {
  const EEBench = window.EEBench;
  const { element } = EEBench;
  const NAMES = {
    layers: "layers saved",
    compute: "compute saved",
    fidelity: "fidelity",
    quality: "quality retention",
  };

  // --- drawing -------------------------------------------------------------------------------------------------

  const drawn = new Map(); // where -> what, to be drawn again in other colours
  const turns = new WeakMap(); // where -> the drawing that goes on: one at a time
  const views = new WeakMap();

  // Legends stand below in as many columns as fit: labels are cut at the spec's limit.
  function legendColumns(spec, width) {
    const { color } = spec.encoding ?? spec.layer?.[1]?.encoding ?? {};
    const longest = Math.max(8, ...(color?.scale?.domain ?? []).map((name) => name.length));
    const label = Math.min(longest * 6.5, color?.legend?.labelLimit ?? 160);
    return Math.max(1, Math.floor(width / (label + 40)));
  }

  function theme(spec, width) {
    const style = getComputedStyle(document.documentElement);
    const [ink, soft, line] = ["--ink", "--soft-ink", "--line"].map((name) => style.getPropertyValue(name).trim());
    const text = { labelColor: ink, titleColor: ink, labelFont: "system-ui", titleFont: "system-ui", labelFontSize: 12 };
    return {
      background: "transparent",
      view: { stroke: line },
      axis: { ...text, titleFontWeight: "normal", gridColor: line, domainColor: soft, tickColor: soft },
      legend: { ...text, columns: legendColumns(spec, width), symbolStrokeWidth: 1.5 },
    };
  }

  // Vega names the element it draws in: the one that has the plot's own description is around it.
  async function embed(place, spec) {
    views.get(place)?.finalize();
    const inside = element("div", {});
    place.replaceChildren(inside);
    const options = { actions: false, renderer: "svg", config: theme(spec, place.clientWidth) };
    views.set(place, await window.vegaEmbed(inside, structuredClone(spec), options));
  }

  EEBench.draw = (place, spec) => {
    drawn.set(place, spec);
    const turn = (turns.get(place) ?? Promise.resolve()).then(() => embed(place, spec));
    turns.set(place, turn);
    return turn;
  };

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const [place, spec] of drawn) if (place.isConnected) EEBench.draw(place, spec);
  });

  // --- saving against what is kept -----------------------------------------------------------------------------

  const percent = (value) => (value === null ? "–" : `${(100 * value).toFixed(1)}%`);

  function pointTable(points, caption) {
    const heads = ["setting", ...Object.values(NAMES), "mean exit layer"];
    const row = (point) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, point.setting),
        ...Object.keys(NAMES).map((name) => element("td", { class: "number" }, percent(point[name]))),
        element("td", { class: "number" }, point.exit.toFixed(1)),
      );
    const head = (text, number) => element("th", { scope: "col", class: number ? "number" : "" }, text);
    const table = element("table", {}, element("caption", {}, element("span", {}, caption)));
    table.append(element("thead", {}, element("tr", {}, ...heads.map(head))), element("tbody", {}, ...points.map(row)));
    return element("div", { class: "wide", role: "region", tabindex: "0", "aria-label": caption }, table);
  }

  function pointDetails(points, title) {
    const details = element("details", {}, element("summary", {}, "The points as a table"));
    details.addEventListener("toggle", () => {
      if (details.open && !details.querySelector("table")) details.append(pointTable(points, `Settings: ${title}`));
    });
    return details;
  }

  // As rows of the fields that the spec plots: quality has savings of its own, over informative tasks.
  function curvePoints(curves, isShown, x, y) {
    const saving = y === "quality" ? `quality_${x}` : x;
    return Object.entries(curves)
      .filter(([policy]) => isShown(policy))
      .flatMap(([policy, curve]) => curve.map(([saved, kept]) => ({ policy, [saving]: saved, [y]: kept })));
  }

  // One figure per model. `of`: the columns of points, the specs, and the figures with their points, curves and coin.
  EEBench.paretos = (place, { columns, specs, figures }, x, y, shown = ["policy", "control", "bound"]) => {
    place.replaceChildren();
    for (const { title, points, curves, kinds, coin, left_out: leftOut } of figures) {
      const all = points.map((point) => Object.fromEntries(columns.map((name, number) => [name, point[number]])));
      const settings = all.filter((point) => shown.includes(point.kind));
      const plotted = settings.filter((point) => point[y] !== null);
      const lines = curvePoints(curves[x][y], (policy) => shown.includes(kinds[policy]), x, y);
      if (!plotted.length && !lines.length) {
        const why = y === "quality" ? "there is no quality above chance to retain" : "there is nothing to plot";
        place.append(element("p", { class: "hint" }, `${title}: ${why}.`));
        continue;
      }
      const policies = new Set([...plotted, ...lines].map((point) => point.policy)).size;
      const text =
        `Scatter plot, ${title}: ${NAMES[x]} against ${NAMES[y]} of ${plotted.length} settings of ${policies} policies, and their curves. ` +
        "The points are listed below as a table.";
      const plot = element("div", { class: "plot", role: "img", "aria-label": text });
      const less = leftOut
        ? `; curves are means over the tasks, at equal shares of their no-skill lines, and ${leftOut} settings that were not measured on all of them have no point`
        : "";
      const figure = element("figure", { class: "plotted" }, plot, element("figcaption", {}, title + less));
      place.append(figure, pointDetails(settings, title));
      EEBench.draw(plot, { ...specs[x][y], datasets: { points: settings, curves: lines, coin } });
    }
  };

  function fixedParetos(place) {
    const of = { ...EEBench.data(place.dataset.points), specs: EEBench.data("specs") };
    const form = place.previousElementSibling;
    const redraw = () => EEBench.paretos(place, of, form.elements.x.value, form.elements.y.value);
    form.hidden = false;
    form.addEventListener("change", redraw);
    redraw();
  }

  // --- layers --------------------------------------------------------------------------------------------------

  function shares(setting, counts, reference) {
    const total = counts.reduce((sum, count) => sum + count, 0) || 1;
    return counts.map((count, number) => ({ setting, layer: number + 1, share: count / total, reference }));
  }

  function fill(select, names, chosen) {
    select.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
    select.value = names.includes(chosen) ? chosen : names[0];
  }

  function histogram(section) {
    const { spec, counts } = EEBench.data(section.dataset.counts);
    const form = section.querySelector("form");
    const { task, setting } = form.elements;
    const plot = section.querySelector(".plot");
    const redraw = () => {
      const here = counts[task.value];
      fill(setting, Object.keys(here), setting.value);
      const rows = shares(setting.value, here[setting.value], false);
      if (here.oracle && setting.value !== "oracle") rows.push(...shares("oracle", here.oracle, true));
      const most = rows.filter((row) => !row.reference).reduce((best, row) => (row.share > best.share ? row : best));
      plot.setAttribute(
        "aria-label",
        `Bar chart of the layers at which ${setting.value} stops on ${task.value}: ` +
          `most often at layer ${most.layer}, ${percent(most.share)} of positions.`,
      );
      const layer = rows.some((row) => row.reference) ? spec.layer : spec.layer.slice(0, 1);
      EEBench.draw(plot, { ...spec, layer, datasets: { exits: rows } });
    };
    fill(task, Object.keys(counts), "");
    form.hidden = false;
    form.addEventListener("change", redraw);
    redraw();
  }

  document.querySelectorAll(".plot[data-spec]").forEach((place) => EEBench.draw(place, EEBench.data(place.dataset.spec)));
  document.querySelectorAll(".paretos").forEach(fixedParetos);
  document.querySelectorAll(".histogram").forEach(histogram);
})();
