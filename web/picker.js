// The models: which there are, which serves, how far a load is.
"use strict";
{
  const STAGES = {
    downloading: "Downloading",
    starting: "Starting a worker for",
    loading: "Loading",
    warming: "Warming up",
    serving: "Ready:",
  };
  const TIERS = { fastest: "fastest", fast: "fast", balanced: "balanced", accurate: "most accurate" };

  /** Events: `load` (detail: a model id) when the user wants one. */
  class Picker extends EventTarget {
    #parts;
    #models = new Map();
    #current = null;
    #loading = null;
    #isOnline = false;

    constructor(parts) {
      super();
      this.#parts = parts;
      parts.select.addEventListener("change", () => this.#describe());
      parts.load.addEventListener("click", () => {
        this.showProgress({ model_id: parts.select.value, progress: 0, stage: "starting" });
        this.dispatchEvent(new CustomEvent("load", { detail: parts.select.value }));
      });
    }

    nameOf(id) {
      return this.#models.get(id)?.name ?? id;
    }

    setOnline(isOnline) {
      this.#isOnline = isOnline;
      if (!isOnline) {
        this.endProgress();
      }
      this.#enable();
    }

    /** Take `available_models`. */
    list({ models, current_model: current }) {
      const chosen = this.#parts.select.value;
      this.#models = new Map(models.map((model) => [model.id, model]));
      this.#parts.select.replaceChildren(...models.map(buildOption));
      this.#current = current;
      const wanted = this.#models.has(chosen) ? chosen : current;
      if (this.#models.has(wanted)) {
        this.#parts.select.value = wanted;
      }
      this.#describe();
    }

    /** Note which model serves, and what it says of its limits. */
    setCurrent(id, { notice = "", phrases = [] } = {}) {
      this.#current = id;
      const { limited, notice: place, phrases: list } = this.#parts;
      limited.hidden = notice === "";
      place.textContent = notice;
      list.replaceChildren(
        ...phrases.map((phrase) => {
          const item = document.createElement("li");
          item.textContent = phrase;
          item.dir = "auto";
          return item;
        }),
      );
      if (this.#models.has(id)) {
        this.#parts.select.value = id;
      }
      this.#describe();
    }

    /** Take `model_loading`. */
    showProgress({ model_id: id, progress, stage }) {
      this.#loading = id;
      this.#parts.loading.hidden = false;
      this.#parts.progress.value = progress;
      const share = stage === "downloading" ? ` ${Math.round(progress * 100)} %` : "";
      this.#parts.loadingText.textContent = `${STAGES[stage] ?? "Loading"} ${this.nameOf(id)} …${share}`;
      this.#enable();
    }

    endProgress(id = this.#loading) {
      if (id === this.#loading) {
        this.#loading = null;
        this.#parts.loading.hidden = true;
        this.#enable();
      }
    }

    #describe() {
      const model = this.#models.get(this.#parts.select.value);
      const isExplained = model?.id === this.#current && !this.#parts.limited.hidden;
      this.#parts.about.textContent = model === undefined ? "" : describe(model, isExplained);
      this.#enable();
    }

    #enable() {
      const { select, load } = this.#parts;
      select.disabled = !this.#isOnline || this.#models.size === 0;
      const isServing = select.value === this.#current;
      load.disabled = select.disabled || this.#loading !== null || isServing;
      load.textContent = isServing && select.value ? "In use" : "Load";
    }
  }

  function buildOption(model) {
    const option = document.createElement("option");
    option.value = model.id;
    option.textContent = `${model.recommended ? "★ " : ""}${model.name}`;
    return option;
  }

  /** Return what to know of a model before choosing it; `isExplained` where its notice says the half of it already. */
  function describe(model, isExplained) {
    const languages = (model.languages ?? [model.language]).map(languageName).join(", ");
    const facts = [languages, TIERS[model.performance_tier] ?? model.performance_tier];
    if (model.vram_gb) {
      facts.push(`${model.vram_gb} GB on a GPU`);
    }
    const text = facts.filter(Boolean).join(" · ");
    return isExplained || !model.description ? text : `${model.description} (${text})`;
  }

  function languageName(code) {
    if (code === "multilingual") {
      return "about a hundred languages";
    }
    try {
      return new Intl.DisplayNames(["en"], { type: "language" }).of(code);
    } catch {
      return code; // not a code the browser knows
    }
  }

  globalThis.hotmic = Object.assign(globalThis.hotmic ?? {}, { Picker });
}
