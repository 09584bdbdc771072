// Uploads by the GraphQL multipart request specification: "file:0" in the variables is the first chosen file.
const h = React.createElement;
const chosen = [];

export const filesPlugin = { title: "Files", icon: Icon, content: Panel };

// A fetcher that sends variables with files in them to `address` itself, and leaves the rest to `fetcher`.
export function withFiles(fetcher, address) {
  return (params, options) => {
    const files = [];
    const variables = withoutFiles(params.variables, "variables", files);
    return files.length ? upload(address, { ...params, variables }, files, options?.headers) : fetcher(params, options);
  };
}

function withoutFiles(value, path, files) {
  const index = typeof value === "string" && /^file:(\d+)$/.exec(value)?.[1];
  if (index) {
    if (!chosen[index]) throw { message: `${value} is not chosen yet: see Files, on the left.` };
    files.push([path, chosen[index]]);
    return null;
  }
  if (Array.isArray(value)) return value.map((item, at) => withoutFiles(item, `${path}.${at}`, files));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutFiles(item, `${path}.${key}`, files)]));
}

async function upload(address, operations, files, headers) {
  const body = new FormData();
  body.append("operations", JSON.stringify(operations));
  body.append("map", JSON.stringify(Object.fromEntries(files.map(([path], at) => [at, [path]]))));
  files.forEach(([, file], at) => body.append(String(at), file));
  const sent = { ...headers, "graphql-require-preflight": "1" };
  return (await fetch(address, { method: "POST", body, headers: sent })).json();
}

function Panel() {
  const [, redraw] = React.useReducer((count) => count + 1, 0);
  const choose = (event) => { chosen.push(...event.target.files); event.target.value = ""; redraw(); };
  const forget = () => { chosen.length = 0; redraw(); };
  const names = chosen.map((_, at) => `"file:${at}"`).join(", ");
  return h("div", { className: "files-panel" },
    h("div", { className: "graphiql-doc-explorer-title" }, "Files"),
    h("p", null, "Choose files, and write their names where the variables of an upload want them."),
    h("input", { type: "file", multiple: true, "aria-label": "Choose files", onChange: choose }),
    h("ol", null, chosen.map((file, at) => h("li", { key: at }, h("code", null, `"file:${at}"`), ` ${file.name}`))),
    chosen.length > 0 && h("pre", null, `{"input": {"photos": [${names}]}}`),
    chosen.length > 0 && h("button", { type: "button", className: "graphiql-button", onClick: forget }, "Forget all"));
}

function Icon() {
  const line = { fill: "none", stroke: "currentColor", strokeWidth: 1.5 };
  return h("svg", { viewBox: "0 0 24 24", ...line }, h("path", { d: "M12 16V4m-5 5 5-5 5 5M4 15v5h16v-5" }));
}
