// Light or dark before the first paint: as chosen on this device, else as the system has it.
"use strict";

const theme = {
  system: matchMedia("(prefers-color-scheme: dark)"),

  get chosen() {
    return localStorage.getItem("theme");
  },
  get shown() {
    return document.documentElement.dataset.theme;
  },
  show() {
    document.documentElement.dataset.theme = this.chosen ?? (this.system.matches ? "dark" : "light");
    dispatchEvent(new Event("theme"));
  },
  // What the system has is not remembered, so that the page goes on following it.
  toggle() {
    const next = this.shown === "dark" ? "light" : "dark";
    if (next === (this.system.matches ? "dark" : "light")) localStorage.removeItem("theme");
    else localStorage.setItem("theme", next);
    this.show();
  },
};

theme.system.addEventListener("change", () => theme.show());
theme.show();
