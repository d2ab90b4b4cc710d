"use strict";
// The ranking: picks between boards that were ranked when the site was built, and keeps what is picked in the address.

(() => {
  const EEBench = window.EEBench;
  const { views, points, columns, specs } = EEBench.data("index");
  const table = document.getElementById("ranking");
  const filters = document.getElementById("filters");
  const axes = document.querySelector("form.axes");
  const heads = [...table.tHead.rows[1].cells];
  const KINDS = ["policy", "control", "bound"];
  const RANK = 0;
  const POLICY = 1;
  const picks = {
    model: filters.elements.model,
    task: filters.elements.task,
    kv: filters.elements.kv,
    by: filters.elements.by,
    x: axes.elements.x,
    y: axes.elements.y,
  };
  const boxes = [...filters.elements.kind];

  // --- the state, and the address ------------------------------------------------------------------------------

  const defaults = Object.fromEntries(Object.entries(picks).map(([name, select]) => [name, select.options[0].value]));
  let sorted = null; // { name, direction }, or as ranked

  function read() {
    const said = new URLSearchParams(location.hash.slice(1));
    for (const [name, select] of Object.entries(picks)) {
      const value = said.get(name) ?? defaults[name];
      select.value = [...select.options].some((option) => option.value === value) ? value : defaults[name];
    }
    const kinds = said.has("kind") ? said.get("kind").split(",") : KINDS;
    boxes.forEach((box) => (box.checked = kinds.includes(box.value)));
    const known = heads.some((head) => head.dataset.name && head.dataset.name === said.get("sort"));
    const direction = said.get("dir") === "ascending" ? "ascending" : "descending";
    sorted = known ? { name: said.get("sort"), direction } : null;
  }

  function write() {
    const said = new URLSearchParams();
    for (const [name, select] of Object.entries(picks)) {
      if (select.value !== defaults[name]) said.set(name, select.value);
    }
    if (!boxes.every((box) => box.checked)) said.set("kind", kinds().join(","));
    if (sorted) {
      said.set("sort", sorted.name);
      said.set("dir", sorted.direction);
    }
    history.replaceState(null, "", `#${said}`);
  }

  const kinds = () => boxes.filter((box) => box.checked).map((box) => box.value);

  // --- the table -----------------------------------------------------------------------------------------------

  function row(policy, rank, { kind, cells }) {
    const made = EEBench.element("tr", { class: kind === "policy" ? "" : "unranked" });
    cells.forEach((cell, number) => {
      const ranked = number === RANK && kind === "policy" ? { text: String(rank ?? "–"), sort: rank } : cell;
      const look = { numeric: heads[number].classList.contains("number"), names: number === POLICY };
      const shown = EEBench.cell(ranked, look);
      if (cell.command) shown.append(EEBench.copyButton(cell.command, policy));
      made.append(shown);
    });
    return made;
  }

  function say(id, sentences, name) {
    const made = sentences.map((sentence) => EEBench.element(name, {}, sentence));
    document.getElementById(id).replaceChildren(...made);
  }

  function showTable(view) {
    const board = view?.by[picks.by.value];
    const rows = (board?.order ?? []).filter(([policy]) => kinds().includes(view.rows[policy].kind));
    table.tBodies[0].replaceChildren(...rows.map(([policy, rank]) => row(policy, rank, view.rows[policy])));
    table.closest(".wide").hidden = !view;
    document.getElementById("nothing").hidden = Boolean(view);
    table.caption.firstElementChild.textContent = board?.caption ?? "";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    if (sorted) EEBench.sort(table, heads.findIndex((head) => head.dataset.name === sorted.name), sorted.direction);
    else heads[RANK].setAttribute("aria-sort", "ascending");
    say("summary", board?.summary ?? [], "p");
    say("notes", board?.notes ?? [], "li");
    const said = board ? `${rows.length} rows. ${board.caption}` : "Nothing has been measured there.";
    document.getElementById("status").textContent = said;
  }

  function showPlots() {
    const { model, task, kv, x, y } = Object.fromEntries(Object.entries(picks).map(([name, pick]) => [name, pick.value]));
    const where = task ? ` on ${task}` : picks.task.length === 1 ? ` on ${picks.task.options[0].text}` : ", means over its tasks";
    const figures = Object.entries(points[kv])
      .filter(([name, tasks]) => (!model || name === model) && tasks[task])
      .map(([name, tasks]) => ({ title: `${name}${where}`, ...tasks[task] }));
    EEBench.paretos(document.getElementById("plots"), { columns, specs, figures }, x, y, kinds());
  }

  function show() {
    showTable(views[picks.kv.value]?.[picks.model.value]?.[picks.task.value]);
    showPlots();
  }

  // --- what readers do -----------------------------------------------------------------------------------------

  function changed(event) {
    if (event.target.name === "by") sorted = null; // a new way to rank is shown as ranked
    write();
    show();
  }

  table.addEventListener("sorted", (event) => {
    sorted = event.detail.name === "rank" && event.detail.direction === "ascending" ? null : event.detail;
    write();
  });
  filters.addEventListener("change", changed);
  axes.addEventListener("change", changed);
  filters.addEventListener("reset", (event) => {
    event.preventDefault();
    history.replaceState(null, "", "#");
    read();
    show();
  });
  addEventListener("hashchange", () => {
    if (location.hash === "#content") return; // the skip link
    read();
    show();
  });

  filters.hidden = axes.hidden = false;
  if (location.hash !== "#content") read();
  show();
})();
