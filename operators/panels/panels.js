// The panels' scripts, and what they share. Written by hand and loaded as they are: the App puts its
// React and its own packages on window, and each panel's file is fetched when it is first opened.
(function () {
  "use strict";
  const { React, recoil } = window;
  const fos = window.__fos__, foo = window.__foo__, fop = window.__fop__, fou = window.__fou__;
  const h = React.createElement;
  const PATIENCE = 60_000; // milliseconds until an answer counts as lost

  async function call(name, params, context) {
    const body = { operator_uri: `@ovsam/curation/${name}`, params, ...context };
    const late = new Promise((_, no) => setTimeout(() => no(new Error("no answer from the server")), PATIENCE));
    const told = await Promise.race([fou.getFetchFunction()("POST", "/operators/execute", body), late]);
    const error = told.error_message || told.error || told.result?.problem;
    if (error) throw Object.assign(new Error(String(error).trim().split("\n").pop()), { answered: true });
    return told.result;
  }

  // What an answer depends on, as the App itself tells it: what the grid shows.
  function useAsked() {
    const dataset_name = recoil.useRecoilValue(fos.datasetName), view = recoil.useRecoilValue(fos.view);
    const filters = recoil.useRecoilValue(fos.filters), extended = recoil.useRecoilValue(fos.extendedStages);
    return { dataset_name, view, filters, extended };
  }

  // Who decides, as this browser knows; the server's user where nobody has said.
  const reviewer = {
    get name() { return window.localStorage.getItem("ovsam-reviewer") || ""; },
    set name(given) { window.localStorage.setItem("ovsam-reviewer", given); },
  };

  // A line to type in that tells what was typed by Enter, or when it is left.
  function Line({ id, label, value, options, onDone, width, theme }) {
    const [typed, type] = React.useState(value);
    React.useEffect(() => type(value), [value]);
    const input = React.useRef(null);
    // Native, as what is typed is kept from the App below the place where React would hear of it.
    React.useEffect(() => {
      const here = input.current, enter = (event) => { if (event.key === "Enter") onDone(typed.trim(), false); };
      here.addEventListener("keydown", enter);
      return () => here.removeEventListener("keydown", enter);
    });
    return h("label", { style: { display: "flex", flexDirection: "column", fontSize: 11, color: theme.palette.text.secondary } }, label,
      h("input", {
        id, ref: input, value: typed, list: options && `${id}-list`, autoComplete: "off", onChange: (event) => type(event.target.value),
        onBlur: () => { if (typed !== value) onDone(typed.trim(), true); },
        style: { width, padding: 4, fontSize: 13, color: theme.palette.text.primary, background: "transparent", border: `1px solid ${theme.palette.divider}`, borderRadius: 4 },
      }),
      options && h("datalist", { id: `${id}-list` }, options.map((one) => h("option", { key: one, value: one }))));
  }

  // Of an open dataset the App keeps the sidebar's groups that it began with: only a script changes them.
  class ShowGroups extends foo.Operator {
    get config() { return new foo.OperatorConfig({ name: "show_groups", label: "Show the sidebar's groups", unlisted: true }); }
    useHooks() { return { show: recoil.useRecoilCallback(({ set }) => (groups) => set(fos.sidebarGroupsDefinition(false), groups), []) }; }
    async execute({ hooks, params }) { hooks.show(params.groups); }
  }
  foo.registerOperator(ShowGroups, "@ovsam/curation");

  // Labels that one panel has changed, for the others.
  const changes = new EventTarget();
  // An instance that is handed to the panel Segment, which takes it when it is there. Not by the App's
  // selection, which a server's answer of a moment before may put back.
  class Hand extends EventTarget {
    give(one) { this.one = one; this.dispatchEvent(new CustomEvent("given")); }
    take() { const { one } = this; this.one = null; return one ?? null; }
  }
  const parts = { call, changes, Line, reviewer, toSegment: new Hand(), useAsked };
  const components = { OvsamSegment: ["OVSAM segment", "./segment.js"], OvsamReview: ["OVSAM review", "./review.js"] };
  for (const [name, [label, file]] of Object.entries(components)) {
    // By the time of the page: a browser may keep the file of an earlier version.
    const Panel = React.lazy(async () => ({ default: (await import(`${file}?${performance.timeOrigin}`)).default(parts) }));
    const component = (properties) => h(React.Suspense, { fallback: null }, h(Panel, properties));
    fop.registerComponent({ name, label, type: fop.PluginComponentType.Component, component, activator: () => true });
  }
})();
