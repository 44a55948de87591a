// Theme, sorting and filtering. Every page reads without this file.
"use strict";

(() => {
  const root = document.documentElement;
  root.classList.add("js");

  const stored = (() => {
    try { return localStorage.getItem("theme"); } catch { return null; }
  })();
  if (stored === "light" || stored === "dark") root.dataset.theme = stored;

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);

  function theme() {
    const button = document.querySelector("button.theme");
    const show = () => { button.textContent = isDark() ? "Light" : "Dark"; };
    button.hidden = false;
    show();
    dark.addEventListener("change", show);
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try { localStorage.setItem("theme", root.dataset.theme); } catch { /* private window */ }
      show();
    });
  }

  function key(row, column) {
    let place = 0;
    for (const cell of row.cells) {
      if (place === column) {
        const text = cell.dataset.value ?? cell.textContent.trim();
        const number = Number.parseFloat(text);
        return text !== "" && Number.isFinite(Number(text)) ? number : text;
      }
      place += cell.colSpan;
    }
    return "";
  }

  function compare(a, b) {
    if (a === "" || b === "") return a === b ? 0 : a === "" ? 1 : -1;
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  }

  function sortable(table) {
    const body = table.tBodies[0];
    const headers = [...table.tHead.rows[0].cells];
    headers.forEach((header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => {
        const before = header.getAttribute("aria-sort");
        const first = header.classList.contains("num") && column > 0 ? "descending" : "ascending";
        const order = before === null ? first : before === "ascending" ? "descending" : "ascending";
        for (const other of headers) other.removeAttribute("aria-sort");
        header.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        const keyed = [...body.rows].map((row) => [key(row, column), row]);
        keyed.sort(([a], [b]) => (a === "" || b === "" ? compare(a, b) : sign * compare(a, b)));
        body.append(...keyed.map(([, row]) => row));
      });
    });
  }

  function filters(form) {
    const boards = [...document.querySelectorAll("section.board")];
    const output = form.querySelector("output");
    form.hidden = false;

    function apply(remember) {
      const chosen = Object.fromEntries(new FormData(form));
      let shown = 0, all = 0;
      for (const board of boards) {
        const here = (!chosen.dataset || board.dataset.dataset === chosen.dataset) &&
          (!chosen.shot || board.dataset.shot === chosen.shot);
        let rows = 0;
        for (const row of board.querySelectorAll("tbody:not(.reported) tr")) {
          const fits = (!chosen.kind || row.dataset.kind === chosen.kind) &&
            (!chosen.explainer || row.dataset.explainer.split(" ").includes(chosen.explainer));
          row.hidden = !fits;
          rows += fits ? 1 : 0;
          all += 1;
        }
        board.hidden = !here || rows === 0;
        shown += board.hidden ? 0 : rows;
      }
      output.textContent = `${shown} of ${all} rows`;
      if (remember) {
        const kept = new URLSearchParams(Object.entries(chosen).filter(([, value]) => value));
        history.replaceState(null, "", `#${kept}`);
      }
    }

    for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
      const select = form.elements.namedItem(name);
      if (select instanceof HTMLSelectElement && [...select.options].some((one) => one.value === value)) {
        select.value = value;
      }
    }
    form.addEventListener("change", () => apply(true));
    form.addEventListener("reset", () => setTimeout(() => apply(true)));
    apply(false);
  }

  function commands() {
    if (!navigator.clipboard) return;
    for (const block of document.querySelectorAll(".command")) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Copy";
      button.setAttribute("aria-label", "Copy the command");
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(block.querySelector("code").textContent);
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      });
      block.append(button);
    }
  }

  addEventListener("DOMContentLoaded", () => {
    theme();
    document.querySelectorAll("table.sortable").forEach(sortable);
    document.querySelectorAll("form[data-filters]").forEach(filters);
    commands();
  });
})();
