// Errors and warnings in words.
"use strict";
{
  const MOST = 4;

  /** A list of boxes; the same sentence stands there once, and every box can be dismissed, an info for good. */
  class Notices {
    #place;
    #shown = new Map();
    #dismissed = new Set();

    constructor(place) {
      this.#place = place;
    }

    /** Show a sentence; `kind` is "error", "warning" or "info"; a `key` replaces what was shown under it. */
    show(kind, sentence, key = sentence) {
      const known = this.#shown.get(key);
      if (known?.sentence === sentence || this.#dismissed.has(sentence)) {
        return;
      }
      this.hide(key);
      const box = document.createElement("div");
      const text = document.createElement("p");
      const dismiss = document.createElement("button");
      box.className = `notice ${kind}`;
      text.textContent = sentence;
      text.dir = "auto";
      dismiss.type = "button";
      dismiss.className = "dismiss";
      dismiss.textContent = "×";
      dismiss.ariaLabel = "Dismiss";
      dismiss.addEventListener("click", () => {
        if (kind === "info") {
          this.#dismissed.add(sentence);
        }
        this.hide(key);
      });
      box.append(text, dismiss);
      this.#place.append(box);
      this.#shown.set(key, { box, sentence });
      if (this.#shown.size > MOST) {
        this.hide(this.#shown.keys().next().value);
      }
    }

    hide(key) {
      this.#shown.get(key)?.box.remove();
      this.#shown.delete(key);
    }
  }

  globalThis.hotmic = Object.assign(globalThis.hotmic ?? {}, { Notices });
}
