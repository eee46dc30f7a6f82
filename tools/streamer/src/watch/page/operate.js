// What may be changed of a camera: recordings, bit rate, its own settings. Shown is what the streamer says can be changed.

/** Milliseconds from one look at recordings and bit rate to the next, */
const LOOK = 2000;
/** and at the camera's settings, which are asked over NATS. */
const LOOK_AT_CAMERA = 10000;

export class Desk {
  #address; #root; #recorders = new Map(); #controls = new Map();

  constructor(camera, root) {
    this.#address = `/api/cameras/${encodeURIComponent(camera)}/`;
    this.#root = root;
    this.#part("#kbit").onchange = ({ target }) =>
      this.#change("encoder", { kbit: target.valueAsNumber }, (told) => this.#showRate(told), () => { target.value = target.dataset.now; });
    this.#look("record", LOOK, (told) => this.#showRecorders(told));
    this.#look("encoder", LOOK, (told) => this.#showRate(told));
    this.#look("controls", LOOK_AT_CAMERA, (told) => this.#showControls(told));
  }

  #part(selector) { return this.#root.querySelector(selector); }

  /** Shows what the streamer tells, again and again; nothing while it tells nothing. */
  async #look(what, pause, show) {
    try {
      const answer = await fetch(this.#address + what);
      if (answer.status === 403) return;
      show(answer.ok ? await answer.json() : null);
    } catch {
      show(null);
    }
    this.#root.hidden = !this.#part(":scope > span:not([hidden]):not(:empty), :scope > label:not([hidden])");
    setTimeout(() => this.#look(what, pause, show), pause);
  }

  /** Asks for something, shows what came of it, and has `settle` put that in the place of what was typed. */
  async #change(what, wanted, show, settle) {
    try {
      const answer = await fetch(this.#address + what, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(wanted),
      });
      if (!answer.ok) throw new Error((await answer.text()).trim() || `HTTP ${answer.status}`);
      this.#tell("", false);
      show(await answer.json());
    } catch (error) {
      this.#tell(error.message, true);
    }
    settle();
  }

  #tell(text, isTrouble) {
    const told = this.#part("#told");
    told.value = text;
    told.className = isTrouble ? "trouble" : "";
  }

  #showRecorders(told) {
    const root = this.#part("#recorders");
    root.hidden = told === null;
    for (const [format, { can_record: can, recording, frames, path, error }] of Object.entries(told ?? {})) {
      const button = this.#recorders.get(format) ?? this.#addRecorder(root, format);
      button.hidden = !can;
      button.textContent = recording ? `stop ${format.toUpperCase()} (${frames})` : `record ${format.toUpperCase()}`;
      button.setAttribute("aria-pressed", String(recording));
      button.title = error || (path && `${recording ? "records" : "recorded"} ${path}`);
    }
  }

  #addRecorder(root, format) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.format = format;
    button.onclick = async () => {
      const record = button.getAttribute("aria-pressed") !== "true";
      button.disabled = true;
      await this.#change("record", { format, record }, (told) => {
        this.#showRecorders(told);
        this.#tell(told[format].path ? `${record ? "records" : "recorded"} ${told[format].path}` : "", false);
      }, () => {});
      button.disabled = false;
    };
    this.#recorders.set(format, button);
    root.append(button);
    return button;
  }

  #showRate(told) {
    const input = this.#part("#kbit");
    const kbit = told?.full_kbit ?? told?.kbit ?? null;
    this.#part("#rate").hidden = kbit === null;
    fill(input, kbit);
    input.title = told?.full_kbit ? `${told.encoder}, ${told.kbit} kbit/s for now` : told?.encoder ?? "";
  }

  #showControls(told) {
    const root = this.#part("#controls");
    for (const row of told ?? []) this.#showControl(root, row);
    const there = new Set(told?.map(({ setting }) => setting));
    for (const [setting, control] of this.#controls) control.hidden = !there.has(setting);
    root.hidden = there.size === 0;
  }

  #showControl(root, { setting, ...values }) {
    const control = this.#controls.get(setting) ?? this.#addControl(root, setting, values);
    control.querySelectorAll("input").forEach((input) => fill(input, values[input.name]));
  }

  #addControl(root, setting, values) {
    const control = document.createElement("label");
    control.className = "control";
    control.dataset.setting = setting;
    control.append(setting.replaceAll("-", " "));
    const inputs = ["value", "min", "max"].filter((name) => name in values).map((name) => {
      const input = document.createElement("input");
      Object.assign(input, { type: "number", name, inputMode: "numeric", step: 1 });
      input.setAttribute("aria-label", `${setting} ${name}`);
      return input;
    });
    const settle = () => inputs.forEach((input) => { input.value = input.dataset.now; });
    const set = (wanted) => this.#change("controls", { setting, ...wanted }, (row) => this.#showControl(root, row), settle);
    for (const input of inputs) {
      input.onchange = () => set(Object.fromEntries(inputs.map(({ name, valueAsNumber }) => [name, valueAsNumber])));
    }
    control.append(...inputs);
    if ("value" in values) {
      const auto = document.createElement("button");
      Object.assign(auto, { type: "button", textContent: "auto", onclick: () => set({ auto: true }) });
      control.append(auto);
    }
    this.#controls.set(setting, control);
    root.append(control);
    return control;
  }
}

/** Shows a number, unless somebody types another one. */
function fill(input, value) {
  input.dataset.now = value ?? "";
  if (document.activeElement !== input) input.value = value ?? "";
}
