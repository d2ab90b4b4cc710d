"use strict";
// What every page does: sort tables, and copy commands.

window.EEBench = {};

(() => {
  const EEBench = window.EEBench;

  EEBench.data = (id) => JSON.parse(document.getElementById(id).textContent);

  // --- elements ------------------------------------------------------------------------------------------------

  // Text is only ever set as text, so that a name is never read as markup.
  EEBench.element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value !== "" && value !== undefined && value !== null) made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  };

  const element = EEBench.element;

  // A cell as the templates make it.
  EEBench.cell = (cell, { numeric = false, names = "" } = {}) => {
    const made = element(names ? "th" : "td", { class: numeric ? "number" : "", "data-sort": cell.sort });
    if (names) made.setAttribute("scope", "row");
    made.append(cell.href ? element("a", { href: cell.href }, cell.text) : (cell.text ?? ""));
    if (cell.kind) made.append(" ", element("span", { class: "badge" }, cell.kind));
    if (cell.note) made.append(element("span", { class: "note" }, cell.note));
    return made;
  };

  EEBench.copyButton = (command, about) =>
    element(
      "button",
      { type: "button", class: "copy", "data-command": command },
      "copy",
      element("span", { class: "unseen" }, ` the command that measures ${about} again`),
    );

  // --- sorting -------------------------------------------------------------------------------------------------

  const heads = (table) => [...table.tHead.rows[table.tHead.rows.length - 1].cells];

  function compared(one, other, numeric) {
    if (one === undefined || other === undefined) return (one === undefined) - (other === undefined);
    if (numeric) return Number(one) - Number(other);
    return one < other ? -1 : one > other ? 1 : 0;
  }

  // Sort a table's rows; cells without a value come last, whichever way.
  EEBench.sort = (table, column, direction) => {
    const head = heads(table)[column];
    const numeric = head.classList.contains("number");
    const turn = direction === "descending" ? -1 : 1;
    const key = (row) => row.cells[column].dataset.sort;
    const rows = [...table.tBodies[0].rows].sort((one, other) => {
      const known = key(one) !== undefined && key(other) !== undefined;
      return (known ? turn : 1) * compared(key(one), key(other), numeric);
    });
    table.tBodies[0].append(...rows);
    heads(table).forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", direction);
  };

  function next(head) {
    if (head.getAttribute("aria-sort") === "ascending") return "descending";
    if (head.getAttribute("aria-sort") === "descending") return "ascending";
    // The largest numbers are what one looks for, but for a rank.
    return head.classList.contains("number") && head.dataset.name !== "rank" ? "descending" : "ascending";
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("thead button");
    if (!button) return;
    const head = button.closest("th");
    const table = head.closest("table");
    const direction = next(head);
    EEBench.sort(table, head.cellIndex, direction);
    const sorted = { name: head.dataset.name, direction };
    table.dispatchEvent(new CustomEvent("sorted", { detail: sorted }));
  });

  // --- copying -------------------------------------------------------------------------------------------------

  // The command is shown as well: a browser may refuse to copy, and then it can be selected.
  async function copy(command) {
    const place = document.getElementById("copied");
    let said = "Copied:";
    try {
      await navigator.clipboard.writeText(command);
    } catch {
      said = "Copy this:";
    }
    const close = element("button", { type: "button", class: "close", "aria-label": "close" }, "×");
    close.addEventListener("click", () => place.replaceChildren());
    place.replaceChildren(element("p", {}, said, close), element("pre", { tabindex: "0" }, command));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.copy");
    if (button) copy(button.dataset.command);
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") document.getElementById("copied").replaceChildren();
  });
})();
