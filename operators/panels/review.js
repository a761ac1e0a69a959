// The panel "Review": one doubtful instance after another. What is decided is shown at once and sent
// in its order behind it, so the next instance waits for nobody. Loaded as it is, by panels.js.
export default function review({ call, changes, Line, reviewer, toSegment, useAsked }) {
  const { React, recoil } = window;
  const foo = window.__foo__, fos = window.__fos__, mui = window.__mui__;
  const h = React.createElement;

  const AHEAD = 8; // instances whose pictures are fetched before they are shown
  const AT_ONCE = 3; // pictures that are fetched at the same time
  const AGAIN = 2_000; // milliseconds until decisions that were not answered are sent again
  const SURE = 4_000; // milliseconds in which a second press deletes
  const BARS = 12; // classes that are drawn
  const ORANGE = "#ff6d04", GREY = "#8b8f99";

  // Where each dataset's review stands: a tab switch or a split mounts the panel anew.
  const desks = new Map();

  class Desk {
    constructor(dataset) {
      Object.assign(this, { dataset, field: null, order: null, classes: [], confidence: null });
      Object.assign(this, { fields: [], names: [], session: null, trouble: "", notice: "", asked: 0 });
      this.forget();
    }
    forget() {
      // `waiting` is what is left as the person sees it, `todo` what the server has not heard of.
      Object.assign(this, { waiting: [], todo: [], presses: [], pictures: new Map(), set: null, sure: 0 });
      this.loading = 0; this.sending = null;
    }
    render() { this.mounted?.(); }
    tell(notice) { this.notice = notice; this.render(); }
    get front() { return this.waiting[0] ?? null; }
    get shown() {
      const one = this.front && this.pictures.get(this.front.label_id);
      return one?.picture ? one : null;
    }
    get isBegun() { const { accepted = 0, renamed = 0, rejected = 0 } = this.session?.progress ?? {}; return accepted + renamed + rejected > 0; }
    get filtered() { return this.classes.length > 0 || !!this.confidence; }

    // A review from its front. What was decided before is sent first.
    async open(asked, chosen = {}) {
      if (this.session) await this.settled();
      Object.assign(this, chosen);
      this.context = asked;
      const number = ++this.asked;
      this.forget(); this.opening = true; this.notice = ""; this.render();
      try {
        const { field, order, classes, confidence } = this;
        const told = await call("review_open", { field, order, classes, confidence }, asked);
        if (number !== this.asked) return;
        if (field && told.field !== field && this.filtered) { this.open(asked, { field: told.field, classes: [], confidence: null }); return; }
        Object.assign(this, { fields: told.fields, field: told.field, names: told.names, session: told.session, trouble: told.trouble });
        this.waiting = told.session?.waiting ?? [];
      } catch (error) {
        if (number === this.asked) Object.assign(this, { session: null, trouble: error.message });
      }
      if (number !== this.asked) return;
      this.opening = false;
      this.fetch(); this.render();
    }
    async settled() { while (this.sending) await this.sending; }

    // The pictures of those that come next, the first one first.
    fetch() {
      const ahead = this.waiting.slice(0, AHEAD), kept = new Set(ahead.map((one) => one.label_id));
      for (const id of this.pictures.keys()) if (!kept.has(id)) this.pictures.delete(id);
      for (const { sample_id, label_id } of ahead) {
        if (this.loading >= AT_ONCE) return;
        if (this.pictures.has(label_id)) continue;
        this.picture(sample_id, label_id);
      }
    }
    async picture(sample_id, label_id) {
      const { pictures, field } = this, place = {};
      pictures.set(label_id, place); this.loading++;
      let told = null;
      try { told = await call("review_picture", { field, sample_id, label_id }, this.context); } catch (error) {
        if (pictures === this.pictures) this.tell(error.message);
        if (pictures === this.pictures && error.answered) this.recount(); // which tells whether the field is there
      }
      if (pictures !== this.pictures) return;
      this.loading--;
      if (told && !told.picture) this.waiting = this.waiting.filter((one) => one.label_id !== label_id); // it is gone
      if (pictures.get(label_id) === place) {
        if (told?.picture) pictures.set(label_id, told); else pictures.delete(label_id);
      }
      if (told) this.fetch(); else setTimeout(() => this.fetch(), AGAIN);
      this.render();
      this.pressed();
    }

    // A press that comes before there is anything to see waits for it.
    press(work) { this.presses.push(work); this.pressed(); }
    pressed() {
      while (this.presses.length && (this.shown || !(this.front || this.opening))) {
        const work = this.presses.shift();
        if (this.shown) work();
      }
    }
    decide(kind, name) {
      this.press(() => {
        const chosen = this.set?.members.filter((one) => one.chosen).map((one) => one.label_id) ?? [];
        this.todo.push({ kind, name, labels: [this.front.label_id, ...chosen] });
        this.set = null; this.sure = 0; this.notice = "";
        this.drop();
        this.send();
      });
    }
    pick(place) { this.press(() => { const name = this.shown.top[place]?.[0]; if (name) this.decide("rename", name); }); }
    skip() { this.press(() => { this.todo.push({ kind: "skip", labels: [this.front.label_id] }); this.set = null; this.drop(); this.send(); }); }
    undo() { if (this.session) { this.todo.push({ kind: "undo", labels: [] }); this.set = null; this.send(); } }
    remove() {
      if (Date.now() - this.sure > SURE) {
        this.sure = Date.now();
        this.tell("Press Delete again to remove it from the dataset; this cannot be undone");
      } else this.decide("delete");
    }
    // Without those that are decided, by now, here.
    drop() {
      const gone = new Set(this.todo.flatMap((one) => one.labels));
      this.waiting = this.waiting.filter((one) => !gone.has(one.label_id));
      this.fetch(); this.render();
    }
    send() {
      this.sending ??= this.sent().finally(() => { this.sending = null; });
      this.render();
    }
    async sent() {
      while (this.todo.length && this.session) {
        const actions = this.todo.slice(), session = this.session;
        let told;
        try {
          told = await call("review_act", { session, actions, by: reviewer.name }, this.context);
        } catch (error) {
          if (error.answered) { // refused as a whole: what it is a review of is there no longer
            this.session = null;
            this.open(this.context).then(() => this.tell(error.message));
            return;
          }
          // It may have been done all the same: a decision that is made twice is made once, but an
          // undo would take back another one.
          this.todo = this.todo.filter((one) => one.kind !== "undo");
          const waiting = this.todo.filter((one) => one.labels.length).length;
          const again = `${waiting === 1 ? "1 decision is" : `${waiting} decisions are`} waiting and will be sent again`;
          this.tell(waiting ? `${error.message}: ${again}` : error.message);
          await new Promise((go) => setTimeout(go, AGAIN));
          continue;
        }
        this.todo = this.todo.slice(actions.length);
        this.session = told.session;
        const front = this.front, again = actions.some((one) => one.kind === "undo") || told.problems.length;
        this.waiting = told.session.waiting;
        // The one in view stays there, however the order has changed.
        if (front && !again && this.waiting.some((one) => one.label_id === front.label_id)) {
          this.waiting = [front, ...this.waiting.filter((one) => one.label_id !== front.label_id)];
        }
        this.notice = told.problems.map((one) => one.message).join("; ");
        this.drop();
      }
      // Scored since, it has a better order than the one that it began with.
      if (!this.order && this.session && this.session.order !== this.session.offered[0]) this.open(this.context);
      this.pressed();
    }
    // Another panel has changed labels.
    changed({ field, labels }) {
      if (field !== this.field || !this.session) return;
      for (const id of labels) this.pictures.delete(id);
      this.waiting = this.waiting.filter((one) => !labels.includes(one.label_id));
      this.todo.push({ kind: "skip", labels });
      this.drop(); this.recount();
    }
    recount() { this.todo.push({ kind: "recount", labels: [] }); this.send(); }

    // Those that can be decided together with the one in view.
    async gather() {
      if (this.set) { this.set = null; this.render(); return; }
      const { front } = this;
      if (!front) return;
      this.tell("Looking for those like it ...");
      try {
        const told = await call("review_together", { field: this.field, ...pair(front) }, this.context);
        if (this.front !== front) return;
        this.set = told.members.length ? told : null;
        this.tell(told.members.length ? "" : "There are no others like it");
      } catch (error) { this.tell(error.message); }
    }
    async redraw() {
      const { front, field } = this;
      if (!front) return;
      toSegment.give({ ...pair(front), field });
      await foo.executeOperator("open_panel", { name: "segment", isActive: true, layout: "horizontal" });
    }
    // What the decisions teach: the form says what that is worth before anything is written.
    async teach() {
      await this.settled();
      this.prompt("@ovsam/curation/learn", { field: this.field, preview: true });
    }
    // This instance alone in the grid; the queue stays that of the view before.
    async show() {
      const { front, field } = this;
      if (!front || this.alone === front.label_id) return;
      const kwargs = [["labels", null], ["ids", [front.label_id]], ["tags", null], ["fields", [field]], ["omit_empty", true]];
      this.before ??= this.context.view;
      this.alone = front.label_id;
      await foo.executeOperator("set_view", { view: [{ _cls: "fiftyone.core.stages.SelectLabels", kwargs }] });
    }
    async back() {
      const view = this.before ?? [];
      this.before = this.alone = null;
      await foo.executeOperator("set_view", { view });
    }
    filter(chosen) { return this.open(this.context, chosen); }
  }

  const pair = ({ sample_id, label_id }) => ({ sample_id, label_id });
  const percent = (share) => `${Math.round(share * 100)}%`;

  // Bars that lie or stand, each of them a filter.
  function Bars({ title, bars, upright, theme, onClick }) {
    const most = Math.max(1, ...bars.map((one) => one.count));
    const bar = ({ key, count, on, told }) => h("div", {
      key, title: told, role: "button", "data-bar": key, onClick: () => onClick(key),
      style: upright
        ? { flex: 1, height: "100%", display: "flex", alignItems: "flex-end", cursor: "pointer" }
        : { display: "flex", gap: 6, alignItems: "center", cursor: "pointer", fontSize: 11, height: 16 },
    }, upright
      ? h("div", { style: { width: "100%", marginRight: 1, height: count ? `max(2px, ${(100 * count) / most}%)` : 0, background: on ? ORANGE : GREY } })
      : [
        h("span", { key: "name", style: { width: 90, textAlign: "right", overflow: "hidden", textOverflow: "ellipsis", whiteSpace: "nowrap" } }, key),
        h("div", { key: "bar", style: { height: 12, width: `calc(${(100 * count) / most}% * 0.6)`, background: on ? ORANGE : GREY } }),
        h("span", { key: "count" }, count.toLocaleString("en")),
      ]);
    return h("div", { style: { flex: 1, minWidth: 200 } },
      h("div", { style: { fontSize: 12, color: theme.palette.text.secondary, marginBottom: 4 } }, title),
      h("div", { style: upright ? { height: 120, display: "flex", borderBottom: `1px solid ${theme.palette.divider}` } : {} }, bars.map(bar)));
  }

  function Charts({ desk, theme }) {
    const { histogram, classes } = desk.session.figures, step = 1 / histogram.length;
    const range = (i) => [i / histogram.length, (i + 1) / histogram.length];
    const same = (a, b) => !!a && !!b && Math.abs(a[0] - b[0]) < 1e-9;
    const heights = histogram.map((count, i) => ({ key: i, count, on: same(desk.confidence, range(i)), told: `${count} at ${(i * step).toFixed(2)} to ${((i + 1) * step).toFixed(2)}` }));
    const counts = new Map(classes), names = new Set([...classes.slice(0, BARS).map(([name]) => name), ...desk.classes]);
    const lengths = [...names].map((key) => ({ key, count: counts.get(key) ?? 0, on: desk.classes.includes(key), told: key }));
    const toggled = (name) => (desk.classes.includes(name) ? desk.classes.filter((one) => one !== name) : [...desk.classes, name].sort());
    return h("div", { className: "ovsam-charts", style: { display: "flex", gap: 16, flexWrap: "wrap" } },
      h(Bars, { title: "Confidence of open instances, 0 to 1", bars: heights, upright: true, theme, onClick: (i) => desk.filter({ confidence: same(desk.confidence, range(i)) ? null : range(i) }) }),
      h(Bars, { title: "Classes of open instances", bars: lengths, theme, onClick: (name) => desk.filter({ classes: toggled(name) }) }));
  }

  function Together({ desk, theme }) {
    const { kind, members } = desk.set, chosen = members.filter((one) => one.chosen).length;
    const drawn = members.filter((one) => one.picture), more = members.length - drawn.length;
    return h("div", { className: "ovsam-set" },
      h("div", { style: { fontSize: 12, marginBottom: 4 } },
        kind === "group" ? `All of its group: ${chosen} are decided together with it` : `Most like it: ${chosen} are decided together with it; click to choose`),
      h("div", { style: { display: "flex", flexWrap: "wrap", gap: 4 } },
        drawn.map((one) => h("img", {
          key: one.label_id, src: one.picture, title: one.label, alt: `like it: ${one.label}`, width: 120, height: 90,
          onClick: () => { one.chosen = !one.chosen; desk.render(); },
          style: { cursor: "pointer", borderRadius: 4, outline: `2px solid ${one.chosen ? ORANGE : "transparent"}`, opacity: one.chosen ? 1 : 0.5 },
        })),
        more > 0 && h("div", { style: { fontSize: 12, alignSelf: "center", color: theme.palette.text.secondary } }, `and ${more} more`)));
  }

  function Review() {
    const theme = mui.useTheme(), asked = useAsked(), dataset = asked.dataset_name;
    const root = React.useRef(null);
    const [, again] = React.useReducer((count) => count + 1, 0);
    if (!desks.has(dataset)) desks.set(dataset, new Desk(dataset));
    const fields = recoil.useRecoilValue(fos.labelFields({ space: "SAMPLE" }));
    const loaded = recoil.useRecoilValue(fos.dataset); // another whenever the App has loaded it again
    const desk = desks.get(dataset), key = JSON.stringify([asked, fields]);
    desk.prompt = foo.usePromptOperatorInput();

    React.useEffect(() => {
      const here = root.current;
      desk.mounted = again;
      here.ovsam = desk;
      const heard = (event) => desk.changed(event.detail);
      changes.addEventListener("changed", heard);
      return () => { changes.removeEventListener("changed", heard); if (desk.mounted === again) desk.mounted = null; };
    }, [desk]);
    // The queue follows what the grid shows, but for the instance that it was asked to show alone; and
    // the dataset's fields, as a run is made or removed.
    React.useEffect(() => {
      if (desk.key === key || (desk.alone && JSON.stringify(asked.view).includes(desk.alone))) return;
      Object.assign(desk, { key, before: null, alone: null });
      desk.open(asked);
    }, [key]);
    // A run may have been scored, or decided on, beside it.
    React.useEffect(() => { if (desk.session && !desk.opening) desk.recount(); }, [loaded]);
    React.useEffect(() => {
      const here = root.current;
      // Native: React's own handlers run too late to keep a key from the App.
      const heard = (event) => {
        const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
        if (typing) { if (event.key === "Escape") here.focus(); event.stopPropagation(); return; }
        if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !keyed(desk, event.key, here)) return;
        event.preventDefault(); event.stopPropagation();
      };
      here.addEventListener("keydown", heard);
      return () => here.removeEventListener("keydown", heard);
    }, [desk]);

    const { session, shown } = desk;
    const button = (text, onClick, letter, { on = false, disabled = false } = {}) =>
      h(mui.Button, {
        key: text, size: "small", variant: on ? "contained" : "outlined", disabled, title: letter && `${letter.toUpperCase()}, or Alt+${letter.toUpperCase()}`, accessKey: letter,
        onClick: () => { onClick(); root.current?.focus({ preventScroll: true }); }, sx: { textTransform: "none", justifyContent: "space-between", px: 1.5 },
      }, text);
    const choice = (id, label, value, options, onChange) => h("label", { key: id, style: { display: "flex", flexDirection: "column", fontSize: 11, color: theme.palette.text.secondary } }, label,
      h("select", { id, value: value ?? "", onChange: (event) => onChange(event.target.value), style: { padding: 4, fontSize: 13, color: theme.palette.text.primary, background: theme.palette.background.level1 ?? theme.palette.background.paper, border: `1px solid ${theme.palette.divider}`, borderRadius: 4 } },
        options.map(([name, told]) => h("option", { key: name, value: name }, told))));

    return h("div", {
      ref: root, tabIndex: 0, className: "ovsam-review",
      style: { height: "100%", overflow: "auto", display: "flex", flexDirection: "column", gap: 10, padding: 12, boxSizing: "border-box", outline: "none", color: theme.palette.text.primary },
    },
    h("div", { style: { display: "flex", gap: 8, alignItems: "flex-end", flexWrap: "wrap" } },
      choice("ovsam-review-field", "Field", desk.field, desk.fields.map((name) => [name, name]), (field) => desk.filter({ field, classes: [], confidence: null })),
      session && choice("ovsam-review-order", "Most doubtful by", session.order, session.offered.map((name) => [name, name[0].toUpperCase() + name.slice(1)]), (order) => desk.filter({ order })),
      h(Line, { id: "ovsam-reviewer", label: "Your name", value: reviewer.name, width: 110, theme, onDone: (typed) => { reviewer.name = typed; again(); } })),
    !session && h("div", null, desk.opening ? "..." : desk.trouble),
    session && h("div", null, told(session, desk)),
    session && h("div", { style: { display: "flex", gap: 6, flexWrap: "wrap" } },
      desk.front && [
        button("Accept (A)", () => desk.decide("accept"), "a", { on: true }),
        button("Reject (R)", () => desk.decide("reject"), "r"),
        button("Skip (S)", () => desk.skip(), "s"),
      ],
      button("Undo (U)", () => desk.undo(), "u"),
      desk.front && [
        button(desk.set ? "This one alone (L)" : "Those like it (L)", () => desk.gather(), "l", { on: !!desk.set }),
        button("Redraw (D)", () => desk.redraw(), "d"),
        button("Delete (Del)", () => desk.remove()),
        button("Show (G)", () => desk.show(), "g"),
      ],
      desk.isBegun && button("Apply what I decided (T)", () => desk.teach(), "t"),
      desk.before && button("Back to the view (W)", () => desk.back(), "w"),
      desk.filtered && button("Show everything (E)", () => desk.filter({ classes: [], confidence: null }), "e")),
    session && desk.front && h("div", { style: { display: "flex", gap: 12, flexWrap: "wrap" } },
      h("div", { style: { width: 480, maxWidth: "100%", aspectRatio: "4 / 3", background: "#1e2024" } },
        shown && h("img", { src: shown.picture, alt: "the instance", style: { width: "100%", display: "block" } })),
      shown && h("div", { style: { minWidth: 200, flex: 1, display: "flex", flexDirection: "column", gap: 4 } },
        h("div", null, h("b", null, shown.label), ` in ${shown.image}`),
        h("div", { style: { fontSize: 12, color: theme.palette.text.secondary } }, Object.entries(shown.scores).map(([name, score]) => `${name} ${score.toFixed(2)}`).join(", ")),
        shown.top.map(([name, score], i) => button(`${i + 1}  ${name}${score == null ? "" : `  ${score.toFixed(2)}`}`, () => desk.pick(i), String(i + 1), { on: name === shown.label })),
        h(Line, { key: desk.front.label_id, id: "ovsam-review-name", label: "Another name (N), then Enter", value: "", width: "100%", theme, options: desk.names, onDone: (typed, left) => { if (typed && !left) { desk.decide("rename", typed); root.current.focus(); } } }))),
    session && !desk.front && !desk.opening && h("div", null, desk.sending ? "..." : "Nothing is left in this queue."),
    session && desk.set && h(Together, { desk, theme }),
    h("div", { role: "status", className: "ovsam-notice", style: { minHeight: 18, fontSize: 12, color: theme.palette.text.secondary } }, desk.notice),
    session && h(Charts, { desk, theme }));
  }

  function told({ progress: { accepted, renamed, rejected, open } }, desk) {
    // With what the server has not heard of yet.
    const here = { accept: 0, rename: 0, reject: 0 };
    for (const { kind, labels } of desk.todo) if (kind in here) here[kind] += labels.length;
    const [a, n, r] = [accepted + here.accept, renamed + here.rename, rejected + here.reject];
    const decided = a + n + r, total = accepted + renamed + rejected + open;
    return [h("b", { key: "share" }, `${decided} of ${total} decided`), ` (${percent(total ? decided / total : 1)}): ${a} accepted, ${n} renamed, ${r} rejected; ${total - decided} open`];
  }

  // A key on the panel; whether it was meant for it.
  function keyed(desk, key, root) {
    const place = "12345".indexOf(key), letter = key.toLowerCase();
    if (place >= 0) desk.pick(place);
    else if (letter === "a") desk.decide("accept");
    else if (letter === "r") desk.decide("reject");
    else if (letter === "s") desk.skip();
    else if (letter === "u" || letter === "z") desk.undo();
    else if (letter === "n") root.querySelector("#ovsam-review-name")?.focus();
    else if (letter === "l") desk.gather();
    else if (letter === "d") desk.redraw();
    else if (letter === "g") desk.show();
    else if (letter === "t" && desk.isBegun) desk.teach();
    else if (letter === "w" && desk.before) desk.back();
    else if (letter === "e" && desk.filtered) desk.filter({ classes: [], confidence: null });
    else if (key === "Delete") desk.remove();
    else return false;
    return true;
  }

  return Review;
}
