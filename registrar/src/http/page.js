"use strict";
const element = (id) => document.getElementById(id);
const source = new EventSource("/events" + location.search);
for (const name of ["numbers", "counters", "elements"]) {
  // The server has escaped what came from the network.
  source.addEventListener(name, (event) => { element(name).innerHTML = event.data; });
}
source.onopen = () => { element("live").textContent = "live"; };
source.onerror = () => { element("live").textContent = "not connected"; };
setInterval(() => {
  for (const cell of document.querySelectorAll("[data-step]")) {
    cell.dataset.seconds = Math.max(0, Number(cell.dataset.seconds) + Number(cell.dataset.step));
    cell.textContent = cell.dataset.seconds + " s";
  }
}, 1000);
