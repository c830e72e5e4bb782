"use strict";
const element = (id) => document.getElementById(id);
const source = new EventSource("/events" + location.search);
for (const name of ["numbers", "peers", "counters", "elements"]) {
  // The server has escaped what came from the network.
  source.addEventListener(name, (event) => {
    const open = element(name).querySelector("details[open]") !== null;
    element(name).innerHTML = event.data;
    if (open) element(name).querySelector("details")?.setAttribute("open", "");
  });
}
source.onopen = () => { element("live").textContent = "live"; };
source.onerror = () => { element("live").textContent = "not connected"; };
setInterval(() => {
  for (const cell of document.querySelectorAll("[data-step]")) {
    cell.dataset.seconds = Math.max(0, Number(cell.dataset.seconds) + Number(cell.dataset.step));
    cell.textContent = cell.dataset.seconds + " s";
  }
}, 1000);
