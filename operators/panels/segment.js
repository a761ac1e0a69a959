// The panel "Segment": a photograph on a canvas, where what the mouse points at is cut out and named.
// Written by hand and loaded as it is, by panels.js, which gives it what it shares with other panels.
export default function segment({ call, changes, Line, reviewer, toSegment, useAsked }) {
  const { React, recoil } = window;
  const foo = window.__foo__, fos = window.__fos__, mui = window.__mui__;
  const h = React.createElement;

  const COLOURS = { hover: [64, 156, 255], kept: [64, 208, 96], there: [255, 176, 32], found: [200, 120, 255] };
  const LARGEST = 2048; // of the bitmap that is drawn of a large photograph when it is seen whole
  const TRAVELS = 1024; // pixels along the longer side of what is painted, as it is sent

  // What a person has done, by dataset and sample: a tab switch or a split mounts the panel anew. What
  // was asked outlives the page, too, which the App gives up when its server goes.
  const sheets = new Map();
  const settings = new Map();

  function sheetOf(dataset, id) {
    const key = `ovsam-segment/${dataset}/${id}`;
    if (!sheets.has(key)) {
      const { steps = [], held = null } = JSON.parse(window.sessionStorage.getItem(key) ?? "{}");
      sheets.set(key, {
        id, key, steps, held: held && { id: held, names: [] }, found: [], name: null, view: null, there: [], size: null,
      });
    }
    return sheets.get(key);
  }
  function keep(sheet) {
    const last = sheet.steps.at(-1) ?? sheet.held;
    if (sheet.kept === last) return;
    sheet.kept = last;
    if (!last) { window.sessionStorage.removeItem(sheet.key); return; }
    const steps = sheet.steps.map(({ prompt, merged }) => ({ prompt, merged }));
    try { window.sessionStorage.setItem(sheet.key, JSON.stringify({ steps, held: sheet.held?.id })); } catch { /* it is full */ }
  }

  // An instance that came as runs along its rows, ready to be drawn and to be hit.
  class Shape {
    constructor(told) {
      Object.assign(this, told);
      const [rows, columns] = told.shape;
      this.bits = new Uint8Array(rows * columns);
      for (let i = 0, at = 0; i < told.runs.length; at += told.runs[i++]) {
        if (i & 1) this.bits.fill(1, at, at + told.runs[i]);
      }
      this.pictures = {};
    }
    get area() { return (this.at[2] - this.at[0]) * (this.at[3] - this.at[1]); }
    get best() { return this.names[0]?.[0] ?? ""; }
    // What is written at it: the name, how sure that is, and how surely it is one whole thing.
    said(name) {
      const surely = this.names.find(([each]) => each === name)?.[1];
      const sure = Object.entries({ confidence: surely, objectness: this.objectness }).filter(([, value]) => value != null);
      return [name, sure.map(([what, value]) => `${what} ${value.toFixed(2)}`).join(", ")].filter(Boolean).join(" · ");
    }
    holds([x, y]) {
      const [x1, y1, x2, y2] = this.at, [rows, columns] = this.shape;
      if (x < x1 || y < y1 || x >= x2 || y >= y2) return false;
      return !!this.bits[Math.floor(((y - y1) / (y2 - y1)) * rows) * columns + Math.floor(((x - x1) / (x2 - x1)) * columns)];
    }
    picture(kind, alpha) {
      const key = kind + alpha, [rows, columns] = this.shape;
      if (!rows || !columns) return null;
      if (!this.pictures[key]) {
        const image = new ImageData(columns, rows), pixels = new Uint32Array(image.data.buffer);
        const [r, g, b] = COLOURS[kind], colour = ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
        for (let i = 0; i < pixels.length; i++) if (this.bits[i]) pixels[i] = colour;
        const canvas = new OffscreenCanvas(columns, rows);
        canvas.getContext("2d").putImageData(image, 0, 0);
        this.pictures[key] = canvas;
      }
      return this.pictures[key];
    }
  }

  // A mask of a whole photograph that is painted on: strokes put on it and take away from it.
  class Paint {
    constructor(size, shapes) {
      const factor = Math.min(1, TRAVELS / Math.max(...size));
      const [columns, rows] = size.map((side) => Math.max(1, Math.round(side * factor)));
      this.canvas = new OffscreenCanvas(columns, rows);
      this.g = this.canvas.getContext("2d", { willReadFrequently: true });
      this.g.scale(columns / size[0], rows / size[1]);
      this.size = size;
      this.g.imageSmoothingEnabled = false;
      for (const { at: [x1, y1, x2, y2], picture } of shapes.map((one) => ({ at: one.at, picture: one.picture("kept", 255) }))) {
        if (picture) this.g.drawImage(picture, x1, y1, x2 - x1, y2 - y1);
      }
    }
    stroke([x1, y1], [x2, y2], wide, on) {
      const { g } = this;
      g.globalCompositeOperation = on ? "source-over" : "destination-out";
      g.lineCap = "round"; g.lineWidth = wide; g.strokeStyle = `rgb(${COLOURS.kept})`;
      g.beginPath(); g.moveTo(x1, y1); g.lineTo(x2, y2); g.stroke();
    }
    // As it is sent: runs along the rows inside the mask's own box; null where nothing is left.
    told() {
      const { width, height } = this.canvas, pixels = this.g.getImageData(0, 0, width, height).data;
      const on = (x, y) => pixels[4 * (y * width + x) + 3] > 127;
      let [left, top, right, bottom] = [width, height, 0, 0];
      for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) if (on(x, y)) {
        left = Math.min(left, x); right = Math.max(right, x + 1); top = Math.min(top, y); bottom = y + 1;
      }
      if (right <= left) return null;
      const runs = [0];
      for (let y = top, last = false; y < bottom; y++) for (let x = left; x < right; x++) {
        if (on(x, y) !== last) { runs.push(0); last = !last; }
        runs[runs.length - 1]++;
      }
      const [fx, fy] = [this.size[0] / width, this.size[1] / height];
      return { at: [left * fx, top * fy, right * fx, bottom * fy], shape: [bottom - top, right - left], runs };
    }
  }

  // One mounted panel: its canvases, and the questions that it asks. `render` draws the controls.
  class Desk {
    constructor(root, stage, render) {
      this.root = root; this.stage = stage; this.render = render;
      [this.base, this.top] = stage.querySelectorAll("canvas");
      this.sheet = null; this.image = null; this.notice = ""; this.busy = 0;
      this.hovered = null; this.wanted = null; this.asking = false; this.choices = null; this.asked = 0;
      this.brush = false; this.wide = 24; this.paint = null;
      this.stale = { base: true, top: true };
      this.observer = new ResizeObserver(() => this.resize());
      this.observer.observe(stage);
      const loop = () => { if (this.gone) return; this.draw(); requestAnimationFrame(loop); };
      requestAnimationFrame(loop);
    }
    close() { this.gone = true; this.observer.disconnect(); }

    // Does something, and says it in the panel if it fails; the panel goes on either way.
    async attempt(work) {
      const sheet = this.sheet;
      this.busy++; this.render();
      try {
        const made = await work();
        if (this.sheet === sheet) this.notice = "";
        return made;
      } catch (error) {
        if (this.sheet === sheet || !sheet) this.notice = error.message;
        return undefined;
      } finally { this.busy--; this.refresh(); }
    }
    refresh() {
      if (this.sheet?.ready) keep(this.sheet);
      this.stale.top = true; this.render();
    }

    get settings() {
      if (!settings.has(this.dataset)) settings.set(this.dataset, { field: null, vocabulary: null });
      return settings.get(this.dataset);
    }
    get step() { return this.sheet?.steps.at(-1) ?? null; }
    get shape() { return this.step?.shape ?? null; }
    get names() { return (this.step ? this.shape : this.sheet?.held)?.names ?? []; }
    get vocabulary() { return this.settings.vocabulary ?? (this.offer?.vocabularies[this.settings.field] || "lvis"); }
    ask(kind, asked) {
      return call("segment_ask", { sample_id: this.sheet.id, kind, asked, vocabulary: this.vocabulary }, this.context)
        .then((told) => told.found.map((one) => new Shape(one)));
    }

    // To what was chosen elsewhere: a sample, and a label of it. With nothing chosen it stays where it is.
    turnTo(context, id, chosen) {
      const isHere = this.going && this.dataset === context.dataset_name && (!id || Object.values(this.going).includes(id));
      if (!isHere || (chosen && !this.sheet)) this.open(context, id, chosen);
      else if (chosen) this.adopt(chosen);
    }
    // The grid shows others: the photograph stays, those beside it do not.
    follow(context) {
      this.context = context;
      if (this.sheet && this.dataset === context.dataset_name) this.lookBeside();
    }
    // `chosen` is a label that is to be taken up: its field and its id.
    async open(context, id, chosen = null) {
      this.context = context; this.dataset = context.dataset_name; this.going = { id, asked: id }; // of a patch that is asked for, its photograph is opened
      const number = ++this.asked, fresh = () => this.asked === number && !this.gone;
      this.sheet = null; this.image = this.small = null; this.hovered = this.choices = this.wanted = null;
      this.beside = null; this.notice = ""; this.stale.base = true; this.refresh();
      await this.attempt(async () => {
        const offer = await call("segment_open", { sample_id: id }, context);
        if (!fresh()) return;
        this.offer = offer; this.settings.field ??= offer.field;
        if (chosen && offer.fields.includes(chosen.field)) this.settings.field = chosen.field;
        this.sheet = sheetOf(this.dataset, offer.sample_id);
        this.going.id = offer.sample_id;
        this.render();
      });
      const sheet = this.sheet;
      if (!fresh()) return;
      if (!sheet) { this.going = null; return; }
      // As one attempt: what fails in the one is told after the other, too. The server knows more of why.
      await this.attempt(async () => {
        const both = [this.look(sheet, chosen?.label), this.show(fos.getSampleSrc(this.offer.filepath), sheet)];
        const failed = (await Promise.allSettled(both)).find((one) => one.status === "rejected");
        if (failed) throw failed.reason;
      });
      await this.lookBeside(); // an array of ids may be long: it is asked for last
    }
    // The photographs before and after this one in the grid. A failure costs nothing.
    async lookBeside() {
      const { asked, context, sheet } = this;
      const beside = await call("segment_ahead", { sample_id: sheet.id }, context).catch(() => null);
      if (this.asked !== asked || this.gone || this.context !== context) return;
      this.beside = beside; this.render();
    }
    goTo(side) { if (!this.modal && this.beside?.[side]) this.open(this.context, this.beside[side]); }
    async show(address, sheet) {
      const image = new Image();
      image.src = address;
      await image.decode().catch(() => { throw new Error("the browser cannot show this photograph: convert it to JPEG or PNG"); });
      const { naturalWidth: width, naturalHeight: height } = image, shrink = LARGEST / Math.max(width, height);
      const small = shrink >= 1 ? null : await createImageBitmap(image, {
        resizeWidth: Math.round(width * shrink), resizeHeight: Math.round(height * shrink), resizeQuality: "medium",
      });
      if (this.sheet !== sheet || this.gone) return;
      this.image = image; this.small = small; this.natural = [width, height];
      sheet.size ??= [width, height];
      if (!sheet.moved) this.fit();
      this.stale.base = true; this.refresh();
    }
    async look(sheet, chosen = null) {
      const told = await call("segment_look", { sample_id: sheet.id, field: this.settings.field }, this.context);
      sheet.size = [told.width, told.height];
      this.put(sheet, told);
      sheet.ready = true;
      if (chosen) this.choose(sheet, chosen);
      this.stale.base = true;
      for (const step of sheet.steps) if (!step.shape) [step.shape] = await this.ask("answer", step.prompt);
      this.next();
    }
    put(sheet, { instances, left_out: leftOut, elsewhere }) {
      Object.assign(sheet, { leftOut, elsewhere });
      sheet.there = instances.map((one) => new Shape(one)).sort((a, b) => b.area - a.area);
      sheet.held = sheet.there.find((one) => one.id === sheet.held?.id) ?? null;
    }

    // One question about the mouse is on its way at a time; the newest place waits, others are left out.
    hover(at, moved) {
      const held = this.under(at);
      this.over = held;
      if (held && !this.step) { this.wanted = null; this.hovered = null; this.refresh(); return; }
      this.wanted = { at, moved };
      this.next();
    }
    leave() { this.wanted = null; this.hovered = this.over = null; this.refresh(); }
    async next() {
      if (this.asking || !this.wanted || !this.sheet?.ready) return;
      const { at, moved } = this.wanted, sheet = this.sheet, steps = sheet.steps.length;
      this.wanted = null; this.asking = true;
      try {
        const [shape] = await this.ask("answer", this.prompt(at, 1));
        if (this.sheet === sheet && sheet.steps.length === steps && !this.choices && this.inside) {
          this.hovered = shape; this.moved = moved; this.refresh();
        }
      } catch (error) { if (this.sheet === sheet) { this.notice = error.message; this.refresh(); } }
      this.asking = false;
      this.next();
    }
    prompt([x, y], on) { return { points: [...(this.step?.prompt.points ?? []), [x, y, on]] }; }
    // The smallest of the instances that are drawn there.
    under(at) {
      const drawn = this.sheet.found.length ? this.sheet.found : this.sheet.there;
      return drawn.filter((one) => one.holds(at)).sort((a, b) => a.area - b.area)[0] ?? null;
    }

    click(at, on, alone) {
      const sheet = this.sheet, there = alone || this.step ? null : this.under(at);
      if (there && on) return there.id ? this.hold(there) : this.take(there);
      if (!on && !this.step?.prompt.points) {
        this.notice = "To take away, click on the instance first"; this.refresh();
        return undefined;
      }
      return this.add(sheet, this.prompt(at, on ? 1 : 0));
    }
    drag([x1, y1], [x2, y2]) {
      return this.add(this.sheet, { box: [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)] });
    }
    add(sheet, prompt, shape = null, merged = []) {
      const step = { prompt, shape, merged };
      sheet.steps.push(step);
      if (!prompt.mask) sheet.name = null;
      this.hovered = this.choices = null; this.refresh();
      return this.attempt(async () => {
        try { [step.shape] = await this.ask("answer", prompt); } catch (error) {
          sheet.steps = sheet.steps.filter((one) => one !== step);
          throw error;
        }
      });
    }
    // What is painted, in place of what was clicked. It is shown before its names come.
    painted(paint, merged) {
      const mask = paint.told();
      if (!mask) { this.notice = "Nothing would be left of it"; this.refresh(); return undefined; }
      const shape = new Shape({ ...mask, names: this.names, objectness: null });
      return this.add(this.sheet, { mask }, shape, merged);
    }
    stroke(at, on) {
      this.paint ??= new Paint(this.sheet.size, [this.shape ?? this.sheet.held].filter(Boolean));
      this.paint.stroke(this.paint.last ?? at, at, (this.wide * this.ratio) / this.sheet.view.scale, on);
      this.paint.last = at; this.stale.top = true;
    }
    lift() {
      const { paint } = this;
      this.paint = null;
      return this.painted(paint, this.step?.merged);
    }
    wield() { this.brush = !this.brush; this.wanted = this.hovered = null; this.refresh(); }
    widen(by) { this.wide = Math.min(400, Math.max(2, this.wide * by)); this.refresh(); }
    // The instance that was taken up, and the one under the mouse, become one.
    merge() {
      const { over, step } = this, { held } = this.sheet;
      if (!held || !over?.id || over === held) {
        this.notice = "To merge, click on an existing instance, point at another one, and press M"; this.refresh();
        return undefined;
      }
      return this.painted(new Paint(this.sheet.size, [this.shape ?? held, over]), [...(step?.merged ?? []), over.id]);
    }
    take(shape) {
      this.sheet.steps.push({ prompt: shape.prompt, shape });
      this.sheet.name = null; this.hovered = null; this.refresh();
    }
    // An instance that was chosen elsewhere: in the review, or by a click in the open sample.
    adopt({ field, label }) {
      if (!this.offer.fields.includes(field)) return;
      this.settings.field = field;
      this.attempt(() => this.look(this.sheet, label));
    }
    choose(sheet, id) {
      const shape = sheet.there.find((one) => one.id === id);
      if (!shape) throw new Error(`This instance is not in ${this.settings.field} any more`);
      if (sheet.held === shape) return;
      Object.assign(sheet, { steps: [], found: [] });
      this.hold(shape);
    }
    hold(shape) { this.sheet.held = shape; this.sheet.name = null; this.hovered = null; this.refresh(); }
    undo() {
      if (this.sheet.steps.length) this.sheet.steps.pop(); else this.sheet.held = null;
      this.sheet.name = null; this.hovered = this.choices = null; this.refresh();
    }
    get isClear() { return !this.sheet || !(this.sheet.steps.length || this.sheet.held || this.sheet.found.length); }
    clear() {
      Object.assign(this.sheet, { steps: [], held: null, found: [], name: null });
      this.hovered = this.choices = null; this.refresh();
    }
    pick(place) {
      const name = this.names[place]?.[0];
      if (name) { this.sheet.name = name; this.refresh(); }
    }
    async turn(by) {
      if (!this.step) return;
      const sheet = this.sheet, first = this.choices?.step ?? this.step;
      if (!this.choices) {
        const found = await this.attempt(() => this.ask("candidates", first.prompt));
        if (!found || this.sheet !== sheet || this.step !== first) return;
        const same = (one) => JSON.stringify(one.prompt.points) === JSON.stringify(first.prompt.points ?? null);
        this.choices = { step: first, found, at: Math.max(0, found.findIndex(same)) };
      }
      const { found } = this.choices;
      this.choices.at = (this.choices.at + by + found.length) % found.length;
      const shape = found[this.choices.at];
      if (this.step !== first) sheet.steps.pop();
      if (shape.prompt.box) sheet.steps.push({ prompt: shape.prompt, shape });
      sheet.name = null; this.hovered = null; this.refresh();
    }
    search(words) {
      const sheet = this.sheet;
      return this.attempt(async () => {
        sheet.found = words ? await this.ask("find", { words }) : await this.ask("everything", {});
        if (!sheet.found.length) throw new Error(words ? `Nothing here matches "${words}"` : "Nothing was found here");
      });
    }
    // From another vocabulary: what is shown is asked again.
    reword(vocabulary) {
      this.settings.vocabulary = vocabulary;
      const { sheet, step } = this;
      if (!sheet) return undefined;
      sheet.found = [];
      return step ? this.attempt(async () => { [step.shape] = await this.ask("answer", step.prompt); }) : this.refresh();
    }
    // A field that cannot be used leaves the one before in its place.
    refield(field) {
      const { settings, sheet } = this, before = settings.field;
      settings.field = field;
      if (!sheet) return undefined;
      sheet.held = null;
      return this.attempt(() => this.look(sheet).catch((error) => { settings.field = before; throw error; }));
    }

    commit() {
      const { sheet, step } = this, { held, name } = sheet;
      if (step) return this.change(held ? "redraw" : "add", { ...step.prompt, name: name ?? (held ? held.label : null), label_id: held?.id, merged: step.merged });
      if (held && name) return this.change("rename", { label_id: held.id, name });
      return undefined;
    }
    remove() { return this.sheet.held && !this.step ? this.change("remove", { label_id: this.sheet.held.id }) : undefined; }
    change(action, asked) {
      const sheet = this.sheet;
      const told = { ...asked, field: this.settings.field, vocabulary: this.vocabulary, by: reviewer.name };
      return this.attempt(async () => {
        const made = await call("segment_change", { sample_id: sheet.id, action, asked: told }, this.context);
        // What was taken up from all that was found is added once.
        const found = sheet.found.filter((one) => !sheet.steps.some((step) => step.shape === one));
        Object.assign(sheet, { steps: [], held: null, name: null, found });
        this.hovered = this.choices = null;
        this.put(sheet, made);
        this.refreshSample(made.sample);
        if (!this.modal) this.showField(told.field);
        const detail = { field: told.field, labels: [made.label_id, ...(asked.merged ?? [])] };
        changes.dispatchEvent(new CustomEvent("changed", { detail }));
      });
    }

    // A field that the grid does not know yet comes with the dataset, which the App has to load again.
    async showField(field) {
      const { fields } = this.offer;
      if (fields.includes(field)) return;
      fields.push(field);
      await foo.executeOperator("reload_dataset");
      await foo.executeOperator("set_active_fields", { fields: [...this.active, field] });
    }

    // What there is, where it is not what a person may look for.
    get count() {
      const { there, leftOut, elsewhere } = this.sheet, others = Object.entries(elsewhere).map(([field, count]) => `${count} in ${field}`);
      const edit = !there.length && others.length ? `${others.join(", ")}: choose the field above to edit them` : "";
      return [`${there.length} in ${this.settings.field}`, edit, leftOut].filter(Boolean).join("; ");
    }

    // Where things lie. `view` is the scale of the photograph and its corner, in the canvas's pixels.
    resize() {
      const { width, height } = this.stage.getBoundingClientRect();
      if (!width || !height) return;
      this.ratio = window.devicePixelRatio || 1;
      for (const canvas of [this.base, this.top]) {
        canvas.width = Math.round(width * this.ratio); canvas.height = Math.round(height * this.ratio);
      }
      if (this.image && !this.sheet?.moved) this.fit();
      this.stale.base = this.stale.top = true;
      this.render();
    }
    fit() {
      if (!this.sheet?.size) return;
      const [width, height] = this.sheet.size;
      const scale = Math.min(this.base.width / width, this.base.height / height);
      this.sheet.view = { scale, x: (this.base.width - width * scale) / 2, y: (this.base.height - height * scale) / 2 };
      this.sheet.moved = false;
      this.stale.base = this.stale.top = true;
    }
    place(event) {
      const { left, top, width } = this.stage.getBoundingClientRect(), ratio = this.base.width / width;
      const { scale, x, y } = this.sheet.view;
      return [((event.clientX - left) * ratio - x) / scale, ((event.clientY - top) * ratio - y) / scale];
    }
    // Of a place on the photograph, for those who drive the panel.
    clientOf([px, py]) {
      const { left, top, width } = this.stage.getBoundingClientRect(), ratio = this.base.width / width;
      const { scale, x, y } = this.sheet.view;
      return [left + (px * scale + x) / ratio, top + (py * scale + y) / ratio];
    }
    covers([x, y]) { const [w, high] = this.sheet.size; return x >= 0 && y >= 0 && x < w && y < high; }
    onto([x, y]) { const [w, high] = this.sheet.size; return [Math.min(Math.max(x, 0), w), Math.min(Math.max(y, 0), high)]; }
    zoom(event) {
      if (!this.sheet?.view) return;
      const [x, y] = this.place(event), { view } = this.sheet;
      const scale = Math.min(40, Math.max(0.02, view.scale * Math.exp(-event.deltaY / 400)));
      this.sheet.view = { scale, x: view.x + x * (view.scale - scale), y: view.y + y * (view.scale - scale) };
      this.sheet.moved = true; this.stale.base = this.stale.top = true;
    }
    pan(dx, dy) {
      this.sheet.view.x += dx * this.ratio; this.sheet.view.y += dy * this.ratio;
      this.sheet.moved = true; this.stale.base = this.stale.top = true;
    }

    draw() {
      const view = this.sheet?.view;
      if (this.stale.base) {
        this.stale.base = false;
        const g = this.base.getContext("2d");
        g.clearRect(0, 0, this.base.width, this.base.height);
        if (this.image && view) this.drawPhotograph(g, view);
      }
      if (this.stale.top) {
        this.stale.top = false;
        const g = this.top.getContext("2d");
        g.clearRect(0, 0, this.top.width, this.top.height);
        if (this.image && view) this.drawShapes(g, view);
        if (this.moved && this.hovered) { (this.timings ??= []).push(performance.now() - this.moved); this.moved = 0; }
      }
    }
    drawPhotograph(g, { scale, x, y }) {
      const [width, height] = this.sheet.size;
      g.imageSmoothingEnabled = scale < 4;
      if (this.small && scale * width <= this.small.width) return g.drawImage(this.small, x, y, width * scale, height * scale);
      // Only what is in view; the browser's size of the photograph may differ from the server's.
      const left = Math.max(0, -x / scale), top = Math.max(0, -y / scale);
      const wide = Math.min(width - left, this.base.width / scale), high = Math.min(height - top, this.base.height / scale);
      const [fx, fy] = [this.natural[0] / width, this.natural[1] / height];
      if (wide <= 0 || high <= 0) return undefined;
      return g.drawImage(this.image, left * fx, top * fy, wide * fx, high * fy, x + left * scale, y + top * scale, wide * scale, high * scale);
    }
    drawShapes(g, view) {
      const { there, found, held } = this.sheet, { step, shape } = this;
      for (const one of found.length ? found : there) {
        const strong = one === this.over || one === held;
        if (one === held ? !step && !this.paint : !step) this.drawShape(g, view, one, one.id ? "there" : "found", strong ? 150 : 70, strong || !one.id);
      }
      if (this.paint) {
        const [width, height] = this.sheet.size;
        g.globalAlpha = 0.6; g.drawImage(this.paint.canvas, view.x, view.y, width * view.scale, height * view.scale); g.globalAlpha = 1;
        return;
      }
      if (this.hovered) this.drawShape(g, view, this.hovered, "hover", step ? 90 : 140, !step);
      if (shape) this.drawShape(g, view, shape, "kept", 150, true);
      for (const [px, py, on] of step?.prompt.points ?? []) {
        g.beginPath(); g.arc(view.x + px * view.scale, view.y + py * view.scale, 5 * this.ratio, 0, 7);
        g.fillStyle = on ? "#2f6" : "#f33"; g.fill(); g.strokeStyle = "#000"; g.stroke();
      }
      for (const box of [step?.prompt.box, this.rubber]) if (box) this.drawBox(g, view, box, [6, 4]);
      if (this.brush && this.pointer) {
        const [px, py] = this.pointer;
        g.beginPath(); g.arc(view.x + px * view.scale, view.y + py * view.scale, (this.wide * this.ratio) / 2, 0, 7);
        g.strokeStyle = "#fff"; g.lineWidth = this.ratio; g.stroke();
      }
    }
    drawShape(g, view, shape, kind, alpha, named) {
      const [x1, y1, x2, y2] = shape.at, picture = shape.picture(kind, alpha);
      if (!picture) return;
      g.imageSmoothingEnabled = false;
      g.drawImage(picture, view.x + x1 * view.scale, view.y + y1 * view.scale, (x2 - x1) * view.scale, (y2 - y1) * view.scale);
      if (!named) return;
      const chosen = kind === "kept" || shape === this.sheet.held ? this.sheet.name : null;
      const said = shape.said(chosen ?? shape.label ?? shape.best);
      g.font = `${13 * this.ratio}px sans-serif`;
      const wide = g.measureText(said).width + 8 * this.ratio, size = 18 * this.ratio;
      const x = Math.max(0, Math.min(view.x + x1 * view.scale, this.top.width - wide)), y = Math.max(size, view.y + y1 * view.scale);
      g.fillStyle = "rgba(0, 0, 0, 0.7)"; g.fillRect(x, y - size, wide, size);
      g.fillStyle = "#fff"; g.fillText(said, x + 4 * this.ratio, y - 5 * this.ratio);
    }
    drawBox(g, view, [x1, y1, x2, y2], dash) {
      g.setLineDash(dash); g.lineWidth = this.ratio; g.strokeStyle = "#fff";
      g.strokeRect(view.x + x1 * view.scale, view.y + y1 * view.scale, (x2 - x1) * view.scale, (y2 - y1) * view.scale);
      g.setLineDash([]);
    }

    // A key on the photograph; whether it was meant for the panel.
    key(event) {
      if (event.ctrlKey || event.metaKey || !this.sheet) return false;
      const { key } = event, place = "12345".indexOf(key);
      if (place >= 0) this.pick(place);
      else if (key === "Tab") this.turn(event.shiftKey ? -1 : 1);
      else if (key === "b" || key === "B") this.wield();
      else if (key === "[" || key === "]") this.widen(key === "]" ? 1.5 : 1 / 1.5);
      else if (key === "m" || key === "M") this.merge();
      else if (key === "Enter") this.commit();
      else if (key === "z" || key === "Z") this.undo();
      else if (key === "Delete" || key === "Backspace") this.remove();
      else if (key === "e" || key === "E") this.search("");
      else if (key === "f" || key === "F") this.fit();
      // With nothing to clear it is the App's.
      else if (key === "Escape" && !this.isClear) this.clear();
      else return false;
      return true;
    }
  }

  // The mouse on the photograph: a press that moves is a box, or with the middle button a move.
  function mouse(desk) {
    let press = null;
    const far = (event) => Math.hypot(event.clientX - press.x, event.clientY - press.y) > 4;
    return {
      onPointerDown(event) {
        desk.root.focus({ preventScroll: true });
        if (!desk.sheet?.view) return;
        press = { x: event.clientX, y: event.clientY, at: desk.place(event), button: event.button, last: [event.clientX, event.clientY] };
        press.on = !(event.button === 2 || event.shiftKey);
        event.currentTarget.setPointerCapture(event.pointerId);
        if (desk.brush && press.button !== 1) desk.stroke(press.at, press.on);
      },
      onPointerMove(event) {
        if (!desk.sheet?.view) return;
        const at = desk.place(event);
        desk.inside = desk.covers(at);
        if (press?.button === 1) {
          desk.pan(event.clientX - press.last[0], event.clientY - press.last[1]);
          press.last = [event.clientX, event.clientY];
        } else if (desk.brush) {
          desk.pointer = at; desk.over = null; desk.stale.top = true;
          if (desk.paint) desk.stroke(at, press.on);
        } else if (press && press.button === 0 && far(event)) {
          desk.rubber = [...desk.onto(press.at), ...desk.onto(at)]; desk.hovered = desk.wanted = null; desk.refresh();
        } else if (desk.inside) desk.hover(at, performance.now());
        else desk.leave();
      },
      onPointerUp(event) {
        if (!press || !desk.sheet?.view) return;
        const { at, button, on } = press, box = desk.rubber, moved = far(event);
        press = null; desk.rubber = null;
        if (desk.paint) desk.lift();
        else if (box) { if (box[0] !== box[2] && box[1] !== box[3]) desk.drag(box.slice(0, 2), box.slice(2)); else desk.refresh(); }
        else if (button !== 1 && !moved && desk.covers(at)) desk.click(at, on, event.altKey);
      },
      onPointerCancel() { press = null; desk.rubber = desk.paint = null; desk.refresh(); },
      onPointerLeave() { if (!press) { desk.inside = false; desk.leave(); } },
      onContextMenu(event) { event.preventDefault(); event.stopPropagation(); },
    };
  }

  function Segment() {
    const theme = mui.useTheme();
    const context = useAsked(), dataset = context.dataset_name;
    const labels = recoil.useRecoilValue(fos.selectedLabels);
    const modal = recoil.useRecoilValue(fos.nullableModalSampleId);
    const selected = recoil.useRecoilValue(fos.selectedSamples);
    const active = recoil.useRecoilValue(fos.activeFields({ modal: false }));
    const refreshSample = fos.useRefreshSample();
    const root = React.useRef(null), stage = React.useRef(null), held = React.useRef(null);
    const [, again] = React.useReducer((count) => count + 1, 0);
    const [given, give] = React.useReducer((count) => count + 1, 0);
    const desk = held.current;

    React.useEffect(() => {
      const made = new Desk(root.current, stage.current, again), here = root.current;
      held.current = made;
      // Native: React's own handlers run too late to keep a key or the wheel from the App.
      const key = (event) => {
        const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
        if (typing ? event.key === "Escape" : false) here.focus();
        if (!typing && made.key(event)) event.preventDefault();
        else if (!typing) {
          made.goTo({ ArrowRight: "next", ArrowLeft: "previous" }[event.key]);
          return; // in a modal the App itself goes to the next sample
        }
        event.stopPropagation();
      };
      const wheel = (event) => { event.preventDefault(); event.stopPropagation(); made.zoom(event); };
      here.addEventListener("keydown", key);
      stage.current.addEventListener("wheel", wheel, { passive: false });
      toSegment.addEventListener("given", give);
      here.ovsam = made;
      again();
      return () => { made.close(); here.removeEventListener("keydown", key); toSegment.removeEventListener("given", give); };
    }, []);

    // The label that was selected last, if it is of the sample in the modal; in the grid of any.
    const open = modal ? modal.replace(/-modal$/, "") : null;
    const label = [...labels].reverse().find((one) => !open || one.sampleId === open) ?? null;
    const id = open ?? label?.sampleId ?? [...selected.keys()].pop() ?? null;
    const chosen = label && `${label.field}/${label.labelId}`;
    React.useEffect(() => held.current.follow(context), [context.view, context.filters, context.extended]);
    React.useEffect(() => {
      const taken = toSegment.take();
      const one = taken ?? (label && { sample_id: label.sampleId, label_id: label.labelId, field: label.field });
      held.current.turnTo(context, taken?.sample_id ?? id, one && { field: one.field, label: one.label_id });
    }, [dataset, id, chosen, given]);
    if (desk) Object.assign(desk, { modal: !!modal, active, refreshSample });

    const handlers = React.useMemo(() => (desk ? mouse(desk) : {}), [desk]);
    const sheet = desk?.sheet, step = desk?.step, names = desk?.names ?? [];
    // The names have a place of their own, or the photograph would move at every click: where it is free.
    const tall = root.current?.clientHeight > root.current?.clientWidth;
    const current = sheet && (sheet.name ?? (step ? desk.shape?.best : sheet.held?.label) ?? "");
    const button = (text, onClick, disabled, title, on) =>
      h(mui.Button, { key: text, size: "small", variant: on ? "contained" : "outlined", onClick: () => { onClick(); root.current.focus(); }, disabled, title, sx: { textTransform: "none", justifyContent: "flex-start" } }, text);
    const line = (properties) => h(Line, { key: properties.id, theme, width: 110, ...properties });

    return h("div", {
      ref: root, tabIndex: 0, className: "ovsam-segment",
      style: { height: "100%", width: "100%", minHeight: 320, display: "flex", flexDirection: "column", gap: 8, padding: 8, boxSizing: "border-box", outline: "none", color: theme.palette.text.primary },
    },
    h("div", { style: { display: "flex", gap: 8, alignItems: "flex-end", flexWrap: "wrap" } },
      line({ id: "ovsam-field", label: "Add to field", value: desk?.settings.field ?? "", options: desk?.offer?.fields, onDone: (typed) => typed && typed !== desk.settings.field && desk.refield(typed) }),
      line({ id: "ovsam-names", label: "Names from", width: 180, value: desk?.sheet ? desk.vocabulary : "", options: ["lvis", "coco", "imagenet-1k"], onDone: (typed) => desk?.sheet && typed !== desk.vocabulary && desk.reword(typed) }),
      line({ id: "ovsam-find", label: "Find", value: "", onDone: (typed, left) => { if (typed && !left && sheet) { desk.search(typed); root.current.focus(); } } }),
      button("Everything (E)", () => desk.search(""), !sheet?.ready),
      button("Brush (B)", () => desk.wield(), !sheet, "Adds what you paint; with Shift or the right button, it erases. [ and ] make it smaller and larger", desk?.brush),
      button("Fit (F)", () => desk.fit(), !sheet),
      !desk?.modal && [["Previous (←)", "previous"], ["Next (→)", "next"]].map(([text, side]) => button(text, () => desk.goTo(side), !desk?.beside?.[side]))),
    h("div", { style: { flex: 1, minHeight: 0, display: "flex", flexDirection: tall ? "column" : "row", gap: 8 } },
      h("div", { ref: stage, className: "ovsam-stage", ...handlers, style: { position: "relative", flex: 1, minWidth: 0, minHeight: 0, overflow: "hidden", cursor: "crosshair", touchAction: "none", background: theme.palette.background.level1 ?? "#222" } },
        [0, 1].map((i) => h("canvas", { key: i, style: { position: "absolute", inset: 0, width: "100%", height: "100%" } }))),
      h("div", { style: { flex: tall ? "0 0 150px" : "0 0 170px", display: "flex", flexDirection: tall ? "row" : "column", flexWrap: tall ? "wrap" : "nowrap", alignItems: tall ? "flex-end" : "stretch", alignContent: "flex-start", gap: 4, overflow: "auto" } },
        names.slice(0, 5).map(([name, score], i) =>
          h(mui.Button, { key: i, size: "small", variant: name === current ? "contained" : "outlined", onClick: () => { desk.pick(i); root.current.focus(); }, sx: { textTransform: "none", justifyContent: "space-between", gap: 1 } },
            `${i + 1}  ${name}`, h("span", null, score?.toFixed(2) ?? ""))),
        sheet && (step || sheet.held) && line({ id: "ovsam-name", label: "Name", width: 155, value: current, onDone: (typed, left) => { if (!typed) return; sheet.name = typed; if (left) again(); else { desk.commit(); root.current.focus(); } } }),
        sheet && (step || sheet.held) && [
          button(sheet.held ? (step ? "Redraw (Enter)" : "Rename (Enter)") : "Add (Enter)", () => desk.commit(), !step && !sheet.name),
          button("Smaller, larger (Tab)", () => desk.turn(1), !step),
          button("Undo (Z)", () => desk.undo()),
          button("Clear (Esc)", () => desk.clear()),
          sheet.held && !step && button("Delete (Del)", () => desk.remove()),
          sheet.held && h("div", { key: "merge", style: { fontSize: 11, color: theme.palette.text.secondary } }, "M merges it with the one under the mouse"),
        ])),
    h("div", { role: "status", className: "ovsam-notice", style: { minHeight: 18, fontSize: 12, color: desk?.notice || sheet?.leftOut ? theme.palette.error.main : theme.palette.text.secondary } },
      desk?.notice || (desk?.busy ? "..." : sheet?.ready ? desk.count : "")));
  }

  return Segment;
}
