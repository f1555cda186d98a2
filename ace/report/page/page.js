"use strict";
// Filters, search and order of the table of verdicts, and a button that copies a command. Without this the page shows all.
(() => {
  const form = document.getElementById("filters");
  const table = document.getElementById("results");
  if (!form || !table) return;
  const rows = Array.from(table.tBodies);
  const shown = document.getElementById("shown");
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

  const filter = () => {
    const data = new FormData(form);
    const verdicts = data.getAll("verdict");
    const words = String(data.get("words")).toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const kept =
        (!verdicts.length || verdicts.includes(row.dataset.verdict)) &&
        (!data.get("subject") || data.get("subject") === row.dataset.subject) &&
        (!data.get("family") || data.get("family") === row.dataset.family) &&
        (!data.get("kind") || data.get("kind") === row.dataset.kind) &&
        (!data.get("news") || row.dataset.documented === "") &&
        words.every((word) => texts.get(row).includes(word));
      row.hidden = !kept;
      count += kept;
    }
    shown.textContent = `${count} of ${rows.length} verdicts shown`;
  };

  // What has no number comes last, whichever way the others go.
  const compare = (key, sign) => (a, b) => {
    const [x, y] = [a.dataset[key] ?? "", b.dataset[key] ?? ""];
    if (key === "value" || key === "p" || key === "rank") {
      if (x === "" || y === "") return (x === "") - (y === "");
      return sign * (Number(x) - Number(y));
    }
    return x < y ? -sign : x > y ? sign : 0;
  };

  for (const head of table.tHead.querySelectorAll("th[data-key]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.querySelectorAll("th[data-key]")) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      table.append(...[...rows].sort(compare(head.dataset.key, down ? -1 : 1)));
    });
  }

  // A link to a row that is filtered away, or whose details are closed, shows it.
  const reveal = () => {
    const row = document.getElementById(location.hash.slice(1));
    if (!row || row.tagName !== "TBODY") return;
    if (row.hidden) { form.reset(); filter(); }
    const details = row.querySelector("details");
    if (details) details.open = true;
    row.scrollIntoView({ block: "start" });
  };

  for (const row of rows) {
    const command = row.querySelector("pre");
    if (!command || !navigator.clipboard) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy the command";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(command.textContent);
      button.textContent = "Copied";
    });
    command.after(button);
  }

  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", reveal);
  filter();
  reveal();
})();
