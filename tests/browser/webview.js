// A page's widget manager: the little of it that anywidget needs.
class Model {
  sent = [];
  saved = 0;
  widget_manager = {};
  #state;
  #listeners = [];

  constructor(state) {
    this.#state = state;
    this.initialize();
  }

  initialize() {}

  get(name) {
    return this.#state[name];
  }

  set(name, value) {
    this.#state[name] = value;
  }

  save_changes() {
    this.saved += 1;
  }

  send(content) {
    this.sent.push(content);
  }

  on(name, callback, context) {
    this.#listeners.push({ name, callback, context });
  }

  once() {}

  off(name, callback, context) {
    const isMeant = (each) =>
      (!name || each.name === name) &&
      (!callback || each.callback === callback) &&
      (!context || each.context === context);
    this.#listeners = this.#listeners.filter((each) => !isMeant(each));
  }

  receive(state) {
    Object.assign(this.#state, state);
    for (const { name, callback } of [...this.#listeners]) {
      if (name.startsWith("change:") && name.slice(7) in state) {
        callback();
      }
    }
  }
}

class View {
  el = document.createElement("div");
  $el = { empty: () => this.el.replaceChildren() };

  constructor(model) {
    this.model = model;
  }
}

const host = { complaints: [], model: null, anywidget: null };
const complain = (text) => host.complaints.push(text);
document.addEventListener("securitypolicyviolation", (event) => {
  complain(`${event.effectiveDirective} refuses ${event.blockedURI}`);
});
addEventListener("error", (event) => complain(event.message));
addEventListener("unhandledrejection", (event) => complain(String(event.reason)));

// Bytes come as numbers.
function readable(state) {
  return { ...state, states: new DataView(Uint8Array.from(state.states).buffer) };
}

function show(state) {
  const { AnyModel, AnyView } = host.anywidget;
  host.model = new AnyModel(readable(state));
  const view = new AnyView(host.model);
  document.body.append(view.el);
  view.render();
}

globalThis.define = (_needs, make) => {
  host.anywidget = make({ DOMWidgetModel: Model, DOMWidgetView: View });
};
