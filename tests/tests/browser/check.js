// Runs at the end of a page in a frame, and leaves what it has found in an attribute of the
// document around it, as hexadecimal digits of JSON.
"use strict";
(function () {
  const name = (element) =>
    element.tagName + "#" + (element.id || element.closest("[id]")?.id || "") + "." +
    (element.getAttribute("class") || "") + " " + element.textContent.trim().slice(0, 40);

  const width = document.documentElement.clientWidth;
  const beyond = [];
  for (const element of document.body.querySelectorAll("*")) {
    const box = element.getBoundingClientRect();
    const hidden = box.width === 0 && box.height === 0;
    const scrolls = element.closest(".scroll");
    if (!hidden && (!scrolls || scrolls === element) && (box.right > width + 0.5 || box.left < -0.5)) {
      beyond.push(name(element) + " " + box.left + " to " + box.right);
    }
  }

  // What is wider than its box, but for what scrolls.
  const spilt = [];
  for (const element of document.querySelectorAll(".field, .layer, .header, .host, .packet, dd, p, h1, h4")) {
    if (element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).display !== "inline") {
      spilt.push(name(element));
    }
  }

  const plots = {};
  const outside = [];
  const overlapping = [];
  for (const plot of document.querySelectorAll("svg.plot")) {
    const area = plot.viewBox.baseVal;
    const boxes = Array.from(plot.querySelectorAll("text"), (text) => [text, text.getBBox()]);
    for (const [text, box] of boxes) {
      const inside = box.x >= area.x - 0.5 && box.y >= area.y - 0.5 &&
        box.x + box.width <= area.x + area.width + 0.5 &&
        box.y + box.height <= area.y + area.height + 0.5;
      if (!inside) outside.push(name(text));
    }
    boxes.forEach(([text, a], at) => {
      for (const [other, b] of boxes.slice(at + 1)) {
        const across = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
        const down = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
        // A box is as high as the font, of which letters take less.
        if (across > 1 && down > 3) overlapping.push(name(text) + " and " + name(other));
      }
    });
    const shown = plot.getBoundingClientRect();
    const marks = Array.from(plot.querySelectorAll(".mark"));
    const drawn = marks.filter((mark) => {
      const box = mark.getBoundingClientRect();
      const inside = box.left >= shown.left - 1 && box.right <= shown.right + 1 &&
        box.top >= shown.top - 1 && box.bottom <= shown.bottom + 1;
      return box.width > 3 && box.height > 3 && inside && mark.querySelector("title")?.textContent;
    });
    plots[plot.id] = {
      marks: drawn.length,
      named: marks.length,
      letters: shown.width / area.width * 11,
      told: [plot.querySelector("title"), plot.querySelector("desc"),
        plot.closest("figure")?.querySelector("figcaption")]
        .every((element) => element && element.textContent.trim().length > 3),
    };
  }

  const stacks = Array.from(document.querySelectorAll(".stack"), (stack) => {
    const digits = Array.from(stack.querySelectorAll("code"), (code) => code.textContent).join(" ");
    return [Number(stack.dataset.bytes), digits];
  });

  // The link that saves: what it would save, without saving it.
  let saved = null;
  URL.createObjectURL = (blob) => { saved = { size: blob.size, type: blob.type }; return "blob:x"; };
  HTMLAnchorElement.prototype.click = function () { saved.name = this.download; };
  document.getElementById("save")
    .dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));

  const found = {
    width: window.innerWidth,
    scroll: document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth,
    beyond, spilt, outside, overlapping, plots, stacks, saved,
    errors: window.errorsSeen,
    requests: performance.getEntriesByType("resource").map((entry) => entry.name),
    ids: Array.from(document.querySelectorAll("[id]"), (element) => element.id),
    json: document.getElementById("comparison").textContent.length,
    scripts: document.scripts.length,
  };
  const bytes = new TextEncoder().encode(JSON.stringify(found));
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  window.parent.document.documentElement.setAttribute("data-found-" + window.name, digits);
})();
