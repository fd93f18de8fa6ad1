// The widgets of VS Code's Jupyter extension, on a kernel of a plain Jupyter server.
import { KernelManager, ServerConnection } from "@jupyterlab/services";
import { activate } from "@vscode/jupyter-ipywidgets8";

const VIEW = "application/vnd.jupyter.widget-view+json";
const LINK = "[data-testid=qsw-link]";

const host = { asked: [], complaints: [], said: [], kernel: null, manager: null };
globalThis.host = host;

// As in Colab: what the kernel sends is passed on only while it handles a request.
function passOnlyAnswers(kernel) {
  const send = kernel.sendShellMessage.bind(kernel);
  const receive = kernel._handleCommMsg.bind(kernel);
  let requests = 0;
  kernel.sendShellMessage = (...message) => {
    const future = send(...message);
    requests += 1;
    future.done.finally(() => {
      requests -= 1;
    });
    return future;
  };
  kernel._handleCommMsg = async (message) => {
    if (requests > 0) {
      await receive(message);
    }
  };
}

host.start = async (baseUrl, token, onlyAnswers) => {
  const serverSettings = ServerConnection.makeSettings({
    baseUrl,
    wsUrl: baseUrl.replace("http", "ws"),
    token,
    appendToken: true,
  });
  const kernel = await new KernelManager({ serverSettings }).startNew({ name: "python3" });
  // The extension's own connection to a kernel knows no subshells.
  kernel.commsOverSubshells = "disabled";
  if (onlyAnswers) {
    passOnlyAnswers(kernel);
  }
  activate();
  globalThis.vscIPyWidgets8.load();
  const loader = {
    widgetsRegisteredInRequireJs: new Set(),
    successHandler() {},
    errorHandler: (...names) => host.complaints.push(names.join(" ")),
    loadWidgetScript(name, version) {
      host.asked.push([name, version]);
      requirejs.config({ paths: { [name]: `${baseUrl}nbextensions/${name}/index` } });
    },
  };
  host.kernel = kernel;
  host.manager = new globalThis.vscIPyWidgets.WidgetManager(
    kernel,
    document.body,
    loader,
    () => {},
  );
};

/** Removes what is drawn, by the id of the display. */
const drawn = new Map();
let last = Promise.resolve();

async function draw(modelId, display) {
  // As the host does: an output that is renewed is drawn anew.
  drawn.get(display)?.();
  const node = document.createElement("div");
  node.className = "output cell-output-ipywidget-background";
  document.body.append(node);
  new MutationObserver(() => {
    const words = node.querySelector(LINK)?.textContent;
    if (words && words !== host.said.at(-1)) {
      host.said.push(words);
    }
  }).observe(node, { subtree: true, childList: true, characterData: true });
  const model = await host.manager.get_model(modelId);
  const view = await host.manager.create_view(model);
  await host.manager.display_view(null, view, { node });
  drawn.set(display, () => {
    view.remove();
    node.remove();
  });
}

host.run = (code) => {
  const future = host.kernel.requestExecute({ code });
  future.onIOPub = ({ content }) => {
    if (content.ename) {
      host.complaints.push(`${content.ename}: ${content.evalue}`);
    }
    const view = content.data?.[VIEW];
    if (view) {
      const display = content.transient?.display_id ?? view.model_id;
      last = last
        .then(() => draw(view.model_id, display))
        .catch((error) => host.complaints.push(String(error)));
    }
  };
  return future.done.then(() => null);
};

addEventListener("error", (event) => host.complaints.push(event.message));
