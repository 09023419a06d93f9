"use strict";
document.getElementById("save").addEventListener("click", function (event) {
  event.preventDefault();
  const json = document.getElementById("comparison").textContent;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([json], { type: "application/json" }));
  link.download = this.download;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});
