"use strict";
(() => {
  const run = JSON.parse(document.getElementById("data").textContent);
  const GROUPS = {
    image: ["image", ["pull", "unpack", "template"]],
    clone: ["clone", ["clone", "pool", "share"]],
    start: ["start", ["start"]],
    ready: ["ready", ["ready"]],
    exec: ["exec", ["exec"]],
    wait: ["wait", ["wait"]],
    files: ["files", ["snapshot", "restore", "diff"]],
    end: ["end", ["stop", "destroy", "release"]],
  };
  const groupOf = {};
  for (const [group, [, names]] of Object.entries(GROUPS)) for (const name of names) groupOf[name] = group;
  const groupOfName = run.names.map((name) => groupOf[name] || "other");
  const MARKS = {
    passed: "✓ passed", failed: "✗ failed", error: "✗ error", skipped: "– skipped", xfailed: "✗ xfailed", xpassed: "✓ xpassed", rerun: "↻ rerun",
  };
  const ORDER = ["failed", "error", "xpassed", "xfailed", "skipped", "passed"];
  const PHASES = ["setup", "call", "teardown"];
  const AT_ONCE = 100;

  // Everything that is shown goes through here: text is text, never markup.
  const SVG = "http://www.w3.org/2000/svg";
  function fill(element, properties, children) {
    for (const [key, value] of Object.entries(properties || {})) {
      if (value === undefined || value === null || value === false) continue;
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (key === "vars") for (const [name, given] of Object.entries(value)) element.style.setProperty(name, given);
      else element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return element;
  }
  const h = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);
  const s = (tag, properties, ...children) => fill(document.createElementNS(SVG, tag), properties, children);
  const $ = (selector) => document.querySelector(selector);
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const plural = (count, one, many) => `${count.toLocaleString("en")} ${count === 1 ? one : many || one + "s"}`;

  function time(ms) {
    if (ms < 0.95) return ms < 0.05 ? "0 ms" : `${ms.toFixed(1)} ms`;
    if (ms < 999.5) return `${Math.round(ms)} ms`;
    if (ms < 59950) return `${(ms / 1000).toFixed(ms < 9995 ? 2 : 1)} s`;
    const seconds = Math.round(ms / 1000);
    return seconds < 3600 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s` : `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  }
  function size(bytes) {
    if (bytes === null || bytes === undefined) return "unknown";
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    while (bytes >= 1024 && unit < 4) { bytes /= 1024; unit += 1; }
    return `${unit && bytes < 99.95 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
  }
  const short = (digest) => digest.replace(/^(\w+):([0-9a-f]{12}).*$/, "$2");
  const workerOf = (place) => run.workers[place] || "main";
  const severalWorkers = run.workers.length > 1;

  // what belongs together
  run.tests.forEach((test, place) => {
    test.place = place;
    test.total = sum(test.phases);
    test.groups = {};
    for (const [name, ms] of Object.entries(test.waits)) test.groups[groupOfName[name]] = (test.groups[groupOfName[name]] || 0) + ms;
    test.waited = sum(Object.values(test.groups));
    test.operations = [];
    test.failures = [];
  });
  run.containers.forEach((container, place) => {
    container.place = place;
    container.operations = [];
    container.users = new Set();
    container.failed = false;
  });
  run.operations = run.operations.map(([name, begin, length, container, test, phase, worker, subject]) => {
    const operation = { name: run.names[name], group: groupOfName[name], begin, length, container, test, phase, worker, subject };
    if (container >= 0) {
      run.containers[container].operations.push(operation);
      if (test >= 0) run.containers[container].users.add(test);
    }
    if (test >= 0) run.tests[test].operations.push(operation);
    return operation;
  });
  run.failures.forEach((failure, place) => {
    failure.place = place;
    run.tests[failure.test].failures.push(failure);
    for (const each of failure.containers) if (each.container >= 0) run.containers[each.container].failed = true;
  });
  const usedGroups = [...Object.keys(GROUPS), "other"].filter((group) => run.tests.some((test) => test.groups[group]) || run.operations.some((each) => each.group === group));
  const label = (group) => (GROUPS[group] || [group])[0];
  const color = (group) => `var(--${group})`;

  // small parts
  const swatch = (group) => h("i", { class: "swatch", vars: { "--c": color(group) }, "aria-hidden": "true" });
  // Lines break where the parts of a name do.
  const breakable = (text) => text.split(/(?<=[/_[,-]|::)/).flatMap((part, at) => (at ? [h("wbr"), part] : [part]));
  function parted(id) {
    // A parameter may have anything in it.
    const bracket = id.indexOf("["), cut = id.lastIndexOf("::", bracket < 0 ? id.length : bracket);
    return cut < 0 ? ["", id] : [id.slice(0, cut + 2), id.slice(cut + 2)];
  }
  function nodeName(id) {
    const [path, name] = parted(id);
    return [h("span", { class: "path" }, breakable(path)), h("wbr"), h("span", {}, breakable(name))];
  }
  const mark = (outcome) => h("span", { class: `mark ${outcome}` }, MARKS[outcome] || outcome || "not run");
  async function copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = h("textarea", {}, text);
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }
  function enter(command) {
    return h("span", { class: "enter" }, h("code", {}, command), h("button", { type: "button", "aria-label": `Copy: ${command}`, onclick: (event) => copy(command, event.currentTarget) }, "Copy"));
  }
  const goTo = (id) => {
    const target = document.getElementById(id);
    if (!target) return;
    if (target.tagName === "DETAILS") target.open = true;
    target.scrollIntoView({ block: "start" });
    (target.querySelector("summary, button") || target).focus({ preventScroll: true });
  };
  const link = (id, ...children) => h("a", { href: `#${id}`, onclick: (event) => { event.preventDefault(); history.replaceState(null, "", `#${id}`); goTo(id); } }, ...children);
  const containerName = (container) => (container.name && !container.id.startsWith(container.name) ? `${container.name} (${container.id})` : container.id);
  const titleOfImage = (container) => (container.image >= 0 ? run.images[container.image].title : "");

  const tip = $("#tip");
  function showTip(text, event) {
    if (!text) { tip.hidden = true; return; }
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 8))}px`;
    tip.style.top = `${event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 18}px`;
  }

  // summary
  const counts = {};
  for (const test of run.tests) counts[test.outcome || "not run"] = (counts[test.outcome || "not run"] || 0) + 1;
  function summary() {
    const words = { error: ["error", "errors"] };
    const parts = [...ORDER, "not run"].filter((outcome) => counts[outcome]);
    const headline = $("#headline");
    headline.textContent = "";
    if (!parts.length) headline.append("No tests ran");
    parts.forEach((outcome, at) => {
      const bad = outcome === "failed" || outcome === "error";
      const word = words[outcome] ? words[outcome][counts[outcome] === 1 ? 0 : 1] : outcome;
      if (at) headline.append(h("span", { class: "rest" }, ", "));
      headline.append(h("span", { class: bad ? outcome : parts.length === 1 || (outcome === "passed" && !at) ? "" : "rest" }, `${counts[outcome].toLocaleString("en")} ${word}`));
    });
    const strip = $("#outcomes");
    strip.setAttribute("aria-label", parts.map((outcome) => `${counts[outcome]} ${outcome}`).join(", ") || "no tests");
    for (const outcome of [...parts].reverse()) strip.append(h("span", { vars: { flex: `${counts[outcome]} 0 0`, background: `var(--${outcome}, var(--skipped))` } }));

    const began = new Date(run.began_at * 1000);
    $("#about").append(began.toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short" }), run.arguments.length ? " · " : "", run.arguments.length ? h("code", {}, `pytest ${run.arguments.join(" ")}`) : "");

    const figures = $("#figures");
    const figure = (name, value, more) => figures.append(h("div", {}, h("dt", {}, name), h("dd", {}, value), more ? h("dd", { class: "more" }, more) : null));
    figure("Time", time(run.length), severalWorkers ? plural(run.workers.length, "worker") : null);
    figure("Containers", run.containers.length.toLocaleString("en"), run.containers.length ? `at most ${atOnce()} at a time, of ${plural(run.images.length, "image")}` : null);
    const waited = sum(run.tests.map((test) => test.waited)), total = sum(run.tests.map((test) => test.total));
    figure("Tests waited for containers", time(waited), total ? `${Math.round((100 * waited) / total)} % of the time that they took` : null);
    const slowest = [...run.tests].sort((a, b) => b.total - a.total)[0];
    if (slowest) figure("Slowest test", time(slowest.total), link(`test-${slowest.place}`, breakable(parted(slowest.id)[1])));
    const longest = [...run.operations].sort((a, b) => b.length - a.length)[0];
    if (longest) figure("Slowest operation", time(longest.length), `${longest.name} ${longest.container >= 0 ? run.containers[longest.container].id : longest.subject}`);
    const notes = $("#notes");
    if (run.ending) notes.append(h("p", { class: "note" }, `The run was ${run.ending}: this is what had been done until then.`));
    if (run.crashed.length) notes.append(h("p", { class: "note" }, `${run.crashed.join(", ")} crashed: what ${run.crashed.length === 1 ? "it" : "they"} did in the test under way is not known.`));
    if (run.operations_left_out) notes.append(h("p", { class: "note" }, `The ${plural(run.operations_left_out, "shortest operation")} ${run.operations_left_out === 1 ? "is" : "are"} not shown one by one; all are counted in what tests waited for.`));
    $("#colophon").textContent = `Made by pytest-lxcontainer. ${plural(run.tests.length, "test")}, ${plural(run.containers.length, "container")}, ${plural(run.operations.length, "operation")}.`;
  }
  function atOnce() {
    const moments = run.containers.flatMap((each) => [[each.begin, 1], [each.end, -1]]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    let now = 0, most = 0;
    for (const [, change] of moments) most = Math.max(most, (now += change));
    return most;
  }

  // a table that can be sorted and filtered; rows are made as they are needed
  function table({ place, columns, rows, idOf, detail, textOf, placeholder, choices, sortBy, descending }) {
    let shown = [], made = 0, filterText = "", choice = "";
    const body = h("tbody");
    const found = h("span", { class: "found", role: "status" });
    const more = h("button", { type: "button", class: "more", onclick: () => make(1000) });
    const heads = columns.map((column, at) => {
      const head = h("th", { scope: "col", class: column.class, "aria-sort": column.value ? "none" : null });
      if (column.value) head.append(h("button", { type: "button", onclick: () => sort(at) }, column.title));
      else head.append(column.title || "");
      return head;
    });
    function sort(at) {
      descending = sortBy === at ? !descending : (columns[at].class || "").startsWith("num");
      sortBy = at;
      refresh();
    }
    function refresh() {
      const words = filterText.toLowerCase().split(/\s+/).filter(Boolean);
      shown = rows.filter((row) => (!choice || choices.of(row) === choice) && words.every((word) => textOf(row).includes(word)));
      const value = columns[sortBy] && columns[sortBy].value;
      if (value) {
        const sign = descending ? -1 : 1;
        shown.sort((a, b) => { const x = value(a), y = value(b); return x < y ? -sign : x > y ? sign : a.place - b.place; });
      }
      heads.forEach((head, at) => columns[at].value && head.setAttribute("aria-sort", at === sortBy ? (descending ? "descending" : "ascending") : "none"));
      body.textContent = "";
      made = 0;
      make(AT_ONCE);
      found.textContent = shown.length === rows.length ? "" : `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
    }
    function make(count) {
      const until = Math.min(shown.length, made + count);
      const fresh = document.createDocumentFragment();
      for (; made < until; made += 1) fresh.append(line(shown[made]));
      body.append(fresh);
      more.hidden = made >= shown.length;
      more.textContent = `Show ${Math.min(1000, shown.length - made).toLocaleString("en")} more`;
      if (!shown.length) body.append(h("tr", {}, h("td", { colspan: columns.length, class: "none" }, "Nothing here is like that.")));
    }
    function line(row) {
      const cells = columns.map((column) => {
        const content = column.cell(row);
        return h(column.header ? "th" : "td", { class: column.cellClass ? column.cellClass(row) : column.class, scope: column.header ? "row" : null }, content);
      });
      const element = h("tr", { class: detail ? "row" : null, id: idOf(row) }, cells);
      if (detail) {
        const button = element.querySelector(".open");
        const toggle = () => {
          const isOpen = button.getAttribute("aria-expanded") === "true";
          button.setAttribute("aria-expanded", String(!isOpen));
          if (isOpen) element.nextSibling.remove();
          else element.after(h("tr", { class: "detail" }, h("td", { colspan: columns.length }, detail(row))));
        };
        button.setAttribute("aria-expanded", "false");
        element.addEventListener("click", (event) => {
          if (event.target.closest("a") || String(getSelection())) return;
          toggle();
        });
      }
      return element;
    }
    const filters = h("div", { class: "filter" });
    const input = h("input", { type: "search", placeholder, "aria-label": placeholder, oninput: () => { filterText = input.value; refresh(); } });
    if (rows.length > 5) filters.append(input);
    if (choices && choices.values.length > 1) {
      const buttons = ["", ...choices.values].map((value) => h("button", { type: "button", "aria-pressed": String(value === ""), "data-choice": value, onclick: (event) => {
        choice = value;
        for (const each of buttons) each.setAttribute("aria-pressed", String(each === event.currentTarget));
        refresh();
      } }, value || "all"));
      filters.append(h("div", { class: "buttons", role: "group", "aria-label": "Only those" }, buttons));
    }
    filters.append(found);
    place.append(h("div", { class: "tools" }, filters, choices && choices.legend), h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, heads)), body)), more);
    new IntersectionObserver((entries) => { if (entries.some((each) => each.isIntersecting) && made && made < Math.min(2000, shown.length)) make(AT_ONCE); }, { rootMargin: "600px" }).observe(more);
    refresh();
    return {
      all: () => make(Infinity),
      show(row) {
        if (!document.getElementById(idOf(row))) { input.value = filterText = ""; choice = ""; refresh(); make(Infinity); }
      },
    };
  }

  function operationsTable(operations, withTest) {
    if (!operations.length) return h("p", { class: "none" }, "No operation on a container.");
    const shown = operations.length > 200 ? [...operations].sort((a, b) => b.length - a.length).slice(0, 200).sort((a, b) => a.begin - b.begin) : operations;
    return [
      h("table", { class: "ops" }, h("tbody", {}, shown.map((each) => h("tr", {},
        h("td", {}, swatch(each.group), each.name),
        h("td", { class: "num" }, time(each.length)),
        h("td", { class: "quiet" }, PHASES[each.phase] || ""),
        h("td", { class: "quiet" }, withTest ? (each.test >= 0 ? run.tests[each.test].id : "") : each.container >= 0 ? `${run.containers[each.container].id} (${titleOfImage(run.containers[each.container])})` : each.subject),
        h("td", { class: "num quiet" }, `at ${time(each.begin)}`))))),
      shown.length < operations.length ? h("p", { class: "none" }, `The longest 200 of ${plural(operations.length, "operation")}.`) : null,
    ];
  }

  // tests
  let testsTable, containersTable;
  function tests() {
    const most = Math.max(...run.tests.map((test) => test.total), 1);
    const stack = (test) => {
      const parts = usedGroups.filter((group) => test.groups[group]);
      const told = parts.map((group) => `${label(group)} ${time(test.groups[group])}`).join(", ");
      // A square root: what a test of a few milliseconds waited for is seen beside one of a minute.
      const scale = Math.sqrt(test.total / most) * 100, ofTotal = (ms) => `${(Math.min(1, ms / (Math.max(test.total, test.waited) || 1)) * scale).toFixed(2)}%`;
      return h("div", { class: "stack", role: "img", "aria-label": told || "waited for nothing", title: told, vars: { "--w": `${scale.toFixed(2)}%` } }, parts.map((group) => h("i", { vars: { width: ofTotal(test.groups[group]), "--c": color(group) } })));
    };
    const columns = [
      { title: "Outcome", value: (test) => ORDER.indexOf(test.outcome), cell: (test) => [mark(test.outcome), test.reruns ? h("span", { class: "rerun" }, ` ↻ ${test.reruns}`) : null] },
      { title: "Test", value: (test) => test.id, class: "wide", header: true, cell: (test) => h("button", { type: "button", class: "open" }, nodeName(test.id)) },
      severalWorkers && { title: "Worker", value: (test) => test.worker, cellClass: () => "quiet", cell: (test) => workerOf(test.worker) },
      { title: "Total", value: (test) => test.total, class: "num", cell: (test) => time(test.total) },
      { title: "Waited", value: (test) => test.waited, class: "num", cell: (test) => (test.waited ? time(test.waited) : "·"), cellClass: (test) => (test.waited ? "num" : "num zero") },
      { title: "for", cell: stack },
      ...usedGroups.map((group) => ({ title: label(group), value: (test) => test.groups[group] || 0, class: "num fine narrow-hidden", cell: (test) => (test.groups[group] ? time(test.groups[group]) : "·"), cellClass: (test) => `num fine narrow-hidden${test.groups[group] ? " quiet" : " zero"}` })),
    ].filter(Boolean);
    const detail = (test) => [
      test.failures.length ? h("p", {}, test.failures.map((failure) => [link(`failure-${failure.place}`, `Why it failed in ${failure.phase}`), " "])) : null,
      h("p", { class: "lead" }, PHASES.map((phase, at) => `${phase} ${time(test.phases[at])}`).join(" · "), ` · began at ${time(test.begin)}`),
      operationsTable(test.operations, false),
    ];
    const legend = h("ul", { class: "legend" }, usedGroups.map((group) => h("li", {}, swatch(group), GROUPS[group] && GROUPS[group][1].length > 1 ? GROUPS[group][1].filter((name) => run.names.includes(name)).join(", ") : label(group))));
    testsTable = table({
      place: $("#tests .place"), columns, rows: run.tests, idOf: (test) => `test-${test.place}`, detail,
      textOf: (test) => (test.text ||= `${test.id} ${test.outcome} ${workerOf(test.worker)}`.toLowerCase()), placeholder: "Find tests",
      choices: { values: ORDER.filter((outcome) => counts[outcome]), of: (test) => test.outcome, legend }, sortBy: -1,
    });
    $("#tests .count").textContent = run.tests.length.toLocaleString("en");
  }

  // memory and processor over time
  function curve(container, kind) {
    const [moments, memory, cpu] = container.samples;
    if (kind === "memory") return moments.map((moment, at) => [moment, memory[at]]);
    const points = [];
    for (let at = 1; at < moments.length; at += 1) {
      const span = Math.max(moments[at] - moments[at - 1], 0.1), share = Math.max(0, (cpu[at] - cpu[at - 1]) / span);
      points.push([moments[at - 1], share], [moments[at], share]);
    }
    return points;
  }
  function path(points, x, y, floor) {
    const edge = points.map(([moment, value], at) => `${at ? "L" : "M"}${x(moment).toFixed(2)} ${y(value).toFixed(2)}`).join("");
    const area = `${edge}L${x(points[points.length - 1][0]).toFixed(2)} ${floor}L${x(points[0][0]).toFixed(2)} ${floor}Z`;
    return [s("path", { class: "area", d: area }), s("path", { class: "edge", d: edge })];
  }
  const niceTop = (value, base) => {
    let step = base;
    while (step < value) step *= step * 1.6 < value ? 2 : 1.25;
    return step;
  };
  function spark(container, kind) {
    const points = curve(container, kind);
    if (points.length < 2) return "";
    const top = Math.max(...points.map((point) => point[1])) * 1.1 || 1, first = points[0][0], span = points[points.length - 1][0] - first || 1;
    return s("svg", { class: `spark ${kind}`, viewBox: "0 0 100 20", preserveAspectRatio: "none", role: "img", "aria-label": kind === "memory" ? `memory, at most ${size(container.peak)}` : `processor, ${time(container.cpu)} in all` }, path(points, (moment) => ((moment - first) / span) * 100, (value) => 20 - (value / top) * 20, 20));
  }
  function plot(container, kind) {
    const points = curve(container, kind);
    const title = kind === "memory" ? `Memory, at most ${size(container.peak)}` : `Processor, ${time(container.cpu)} in all`;
    if (points.length < 2) return h("figure", {}, h("figcaption", {}, title), h("p", { class: "none" }, "It did not live long enough for a curve."));
    const width = 560, height = 150, left = 58, bottom = 20;
    const top = niceTop(Math.max(...points.map((point) => point[1])), kind === "memory" ? 1024 : 0.1);
    const first = points[0][0], span = points[points.length - 1][0] - first || 1;
    const x = (moment) => left + ((moment - first) / span) * (width - left - 8), y = (value) => height - bottom - (value / top) * (height - bottom - 12);
    const scale = [0, 0.5, 1].map((part) => [s("line", { x1: left, x2: width - 8, y1: y(top * part), y2: y(top * part) }), s("text", { x: left - 6, y: y(top * part) + 4, "text-anchor": "end" }, kind === "memory" ? size(top * part) : `${Math.round(top * part * 100)} %`)]);
    return h("figure", {}, h("figcaption", {}, title), s("svg", { class: `plot ${kind}`, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title }, scale.flat(), path(points, x, y, height - bottom),
      s("text", { x: left, y: height - 5 }, time(first)), s("text", { x: width - 8, y: height - 5, "text-anchor": "end" }, time(first + span))));
  }

  // containers
  function containers() {
    if (!run.containers.length) return;
    $("#containers").hidden = false;
    $("#containers .count").textContent = run.containers.length.toLocaleString("en");
    const hasSamples = run.containers.some((each) => each.samples[0].length);
    const columns = [
      { title: "Container", value: (each) => each.id, class: "wide", header: true, cell: (each) => h("button", { type: "button", class: "open" }, containerName(each)) },
      { title: "Image", value: titleOfImage, cellClass: () => "quiet", cell: titleOfImage },
      severalWorkers && { title: "Worker", value: (each) => each.worker, cellClass: () => "quiet", cell: (each) => workerOf(each.worker) },
      { title: "Tests", value: (each) => each.users.size, class: "num", cell: (each) => String(each.users.size) },
      { title: "Began", value: (each) => each.begin, class: "num", cell: (each) => time(each.begin) },
      { title: "Lived", value: (each) => each.end - each.begin, class: "num", cell: (each) => time(each.end - each.begin) },
      hasSamples && { title: "Memory", value: (each) => each.peak || 0, class: "num", cell: (each) => (each.peak === null ? "·" : size(each.peak)) },
      hasSamples && { title: "", cellClass: () => "narrow-hidden", cell: (each) => spark(each, "memory") },
      hasSamples && { title: "Processor", value: (each) => each.cpu || 0, class: "num", cell: (each) => (each.cpu === null ? "·" : time(each.cpu)) },
      hasSamples && { title: "", cellClass: () => "narrow-hidden", cell: (each) => spark(each, "cpu") },
    ].filter(Boolean);
    const detail = (each) => [
      hasSamples ? h("div", { class: "plots" }, plot(each, "memory"), plot(each, "cpu")) : null,
      each.ips.length ? h("p", { class: "lead" }, `Address ${each.ips.join(", ")}`) : null,
      operationsTable(each.operations, true),
    ];
    const values = [...new Set(run.containers.map(titleOfImage))].sort();
    containersTable = table({
      place: $("#containers .place"), columns, rows: run.containers, idOf: (each) => `container-${each.place}`, detail,
      textOf: (each) => (each.text ||= `${each.id} ${each.name} ${titleOfImage(each)} ${workerOf(each.worker)} ${[...each.users].map((test) => run.tests[test].id).join(" ")}`.toLowerCase()),
      placeholder: "Find containers, by image or test", choices: values.length <= 6 ? { values, of: titleOfImage } : null, sortBy: -1,
    });
  }

  // images
  function images() {
    if (!run.images.length) return;
    $("#images").hidden = false;
    $("#images .count").textContent = run.images.length.toLocaleString("en");
    run.images.forEach((image, place) => { image.place = place; });
    const columns = [
      { title: "Image", value: (each) => each.title, class: "wide", header: true, cell: (each) => h("button", { type: "button", class: "open" }, each.title) },
      { title: "Digest", cell: (each) => h("code", { title: each.digest }, short(each.digest)) },
      { title: "Layers", value: (each) => each.layers.length + each.more_layers, class: "num", cell: (each) => `${each.layers.length}${each.more_layers ? ` + ${each.more_layers}` : ""}` },
      { title: "Size", value: (each) => each.size, class: "num", cell: (each) => size(each.size) },
      { title: "Containers", value: (each) => each.containers, class: "num", cell: (each) => String(each.containers) },
      { title: "Pulled in", value: (each) => each.pull, class: "num", cell: (each) => (each.pull ? time(each.pull) : "·") },
      { title: "of that unpacking", value: (each) => each.unpack, class: "num", cell: (each) => (each.unpack ? time(each.unpack) : "·") },
    ];
    table({
      place: $("#images .place"), columns, rows: run.images, idOf: (each) => `image-${each.place}`, textOf: (each) => each.title.toLowerCase(), placeholder: "Find images", sortBy: -1,
      detail: (each) => h("dl", { class: "facts" }, h("dt", {}, "reference"), h("dd", { class: "mono" }, each.reference), h("dt", {}, "digest"), h("dd", { class: "mono" }, each.digest), each.layers.map((digest, at) => [h("dt", {}, at ? "" : "layers, base first"), h("dd", { class: "mono" }, digest)]),
        each.more_layers ? [h("dt", {}, ""), h("dd", {}, `and ${plural(each.more_layers, "layer")} made in a run, of a template or a snapshot`)] : null,
        each.template ? [h("dt", {}, "prepared in"), h("dd", {}, time(each.template))] : null),
    });
  }

  // failures
  function traceback(text) {
    return h("pre", { class: "trace", tabindex: "0" }, text.split("\n").flatMap((line, at) => [at ? "\n" : "", /^E\s/.test(line) ? h("span", { class: "e" }, line) : line]));
  }
  function unified(text) {
    return h("pre", { class: "diff" }, text.replace(/\n$/, "").split("\n").map((line) => h("span", { class: line.startsWith("@@") || line.startsWith("---") || line.startsWith("+++") ? "at" : line[0] === "+" ? "add" : line[0] === "-" ? "del" : "ctx" }, line || " ")));
  }
  const argv = (args) => (Array.isArray(args) ? args.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${String(word).replace(/'/g, "'\\''")}'`)).join(" ") : String(args));
  function caseOf(each) {
    const facts = h("dl", { class: "facts" });
    const fact = (name, ...values) => { if (values.some((value) => value !== null && value !== undefined && value !== "")) facts.append(h("dt", {}, name), h("dd", {}, ...values)); };
    fact("image", each.image || "", each.digest ? [" ", h("code", { title: each.digest }, short(String(each.digest)))] : "");
    fact("command", each.command && each.command.length ? h("code", {}, argv(each.command)) : "");
    fact("state", `${each.state || "unknown"}${each.exit_code === null || each.exit_code === undefined ? "" : `, exit code ${each.exit_code}`}${each.reason ? ` (${each.reason})` : ""}`);
    fact("address", (each.ips || []).join(", "));
    fact("memory", each.memory_peak === null || each.memory_peak === undefined ? "" : `at most ${size(each.memory_peak)}`);
    fact("processor", each.cpu_time === null || each.cpu_time === undefined ? "" : time(each.cpu_time * 1000));
    fact("network faults", (each.faults || []).join("; "));
    const commands = each.commands || [], changes = each.changes || [];
    const place = each.container >= 0 ? link(`container-${each.container}`, each.name || each.id) : each.name || each.id;
    return h("div", { class: "case" },
      h("h3", {}, "Container ", place),
      each.kept ? h("p", {}, enter(each.kept)) : null,
      facts,
      h("h4", {}, `Log${each.log_left_out ? `, without ${plural(each.log_left_out, "earlier line")}` : ""}`),
      each.log ? h("pre", { class: "said log", tabindex: "0" }, each.log) : h("p", { class: "none" }, "It wrote nothing."),
      commands.length ? [h("h4", {}, `Commands${each.commands_left_out ? `, without ${each.commands_left_out} others` : ""}`), h("table", { class: "ops" }, h("tbody", {}, commands.map((command) => [
        h("tr", {}, h("td", { class: `num ${command.ok === false ? "failed" : "quiet"}` }, command.exit_code === null || command.exit_code === undefined ? "–" : String(command.exit_code)), h("td", { class: "num quiet" }, typeof command.seconds === "number" ? time(command.seconds * 1000) : ""), h("td", {}, h("code", {}, argv(command.args)))),
        command.output ? h("tr", {}, h("td", { colspan: 3 }, h("pre", {}, command.output))) : null])))] : null,
      changes.length ? [h("h4", {}, `Files changed${each.changes_left_out ? `, without ${each.changes_left_out} others` : ""}`), changes.map((change) => [
        h("div", { class: "mono" }, `${String(change.kind || "?")[0].toUpperCase()} ${change.path}${change.size && change.kind !== "deleted" ? `  ${size(change.size)}` : ""}`), change.diff ? unified(change.diff) : null])] : null);
  }
  function failureBody(failure) {
    return h("div", {},
      failure.left_out ? h("p", { class: "none" }, "The run has too many failures to show all that is known of each; the terminal had it.") : null,
      failure.text ? traceback(failure.text) : null,
      failure.sections.filter(([, said]) => said.trim()).map(([title, said]) => [h("h4", {}, title), h("pre", { class: "said", tabindex: "0" }, said)]),
      failure.containers.map(caseOf),
      h("p", {}, link(`test-${failure.test}`, "What the test waited for")));
  }
  let failuresMore = () => {};
  function failures() {
    if (!run.failures.length) return;
    const list = $("#failures .list");
    $("#failures").hidden = false;
    $("#failures .count").textContent = run.failures.length.toLocaleString("en");
    const make = (failure) => {
      const test = run.tests[failure.test];
      const rerun = test.outcome === "passed";
      const details = h("details", { class: `failure${rerun ? " rerun" : ""}`, id: `failure-${failure.place}` }, h("summary", {}, h("span", { class: "open-name" }, nodeName(test.id)), failure.phase === "call" ? "" : ` (${failure.phase})`, rerun ? ", which passed when it was run again" : "", severalWorkers ? h("span", { class: "found" }, ` ${workerOf(test.worker)}`) : "", h("span", { class: "why" }, failure.message)));
      details.addEventListener("toggle", () => { 
        if (!details.open || details.made) return;
        details.made = true;
        details.append(failureBody(failure));
        // What was written last comes nearest to the failure.
        for (const each of details.querySelectorAll("pre.said")) each.scrollTop = each.scrollHeight;
      });
      return details;
    };
    let made = 0;
    const more = h("button", { type: "button", class: "more", onclick: () => next(1000) });
    const next = (count) => {
      for (const failure of run.failures.slice(made, made + count)) list.append(make(failure));
      made = Math.min(run.failures.length, made + count);
      more.hidden = made >= run.failures.length;
      more.textContent = `Show ${plural(run.failures.length - made, "more failure")}`;
    };
    next(50);
    $("#failures").append(more);
    failuresMore = () => next(Infinity);
    if (run.failures.length <= 3) for (const each of list.children) each.open = true;

    const kept = new Map();
    for (const failure of run.failures) for (const each of failure.containers) if (each.kept) kept.set(each.kept, [failure, each]);
    if (kept.size) {
      $("#kept").hidden = false;
      for (const [command, [failure, each]] of kept) $("#kept ul").append(h("li", {}, enter(command), h("span", { class: "whose" }, `${each.name || each.id} of `, link(`failure-${failure.place}`, run.tests[failure.test].id))));
    }
  }

  // timeline
  function timeline() {
    if (!run.containers.length) return;
    $("#timeline").hidden = false;
    const chart = $("#timeline .chart"), chosenText = $("#chosen");
    const ROW = 16, BAR = 12, TEST = 8, STRIP = TEST + 8, AXIS = 26, LEFT = severalWorkers ? 64 : 12, RIGHT = 12, GAP = 12;
    const whole = [0, Math.max(run.length, 1)];
    let view = [...whole], chosen = -1, drag = null, marks = [], pending = false;
    const groups = run.workers.map((name, place) => {
      const rows = [];
      for (const each of run.containers.filter((container) => container.worker === place).sort((a, b) => a.begin - b.begin)) {
        let row = rows.find((candidate) => candidate.end <= each.begin);
        if (!row) rows.push((row = { end: 0, containers: [] }));
        row.containers.push(each);
        row.end = each.end;
      }
      return { name, rows, tests: run.tests.filter((test) => test.worker === place).sort((a, b) => a.begin - b.begin), pulls: run.operations.filter((each) => each.container < 0 && each.worker === place) };
    });
    let top = AXIS;
    for (const group of groups) {
      group.top = top;
      top += STRIP + group.rows.length * ROW + GAP;
    }
    const height = top;
    const inTime = [...run.containers].sort((a, b) => a.begin - b.begin);

    function ticks(span, width) {
      const rough = (span / width) * 110;
      let step = 10 ** Math.floor(Math.log10(rough));
      for (const factor of [1, 2, 5, 10]) if (step * factor >= rough) { step *= factor; break; }
      return step;
    }
    const stamp = (moment, step) => (step < 1000 ? `${(moment / 1000).toFixed(step < 10 ? 3 : step < 100 ? 2 : 1)} s` : moment < 60000 ? `${Math.round(moment / 1000)} s` : `${Math.floor(moment / 60000)}:${String(Math.round((moment % 60000) / 1000)).padStart(2, "0")}`);
    function draw() {
      pending = false;
      const width = chart.clientWidth, [from, to] = view, scale = (width - LEFT - RIGHT) / (to - from);
      const x = (moment) => LEFT + (moment - from) * scale;
      const clip = (begin, end) => [Math.max(LEFT, x(begin)), Math.min(width - RIGHT, x(end))];
      const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, height, width, role: "img", "aria-label": `${plural(run.containers.length, "container")} of ${plural(run.workers.length, "worker")} in ${time(run.length)}` });
      const step = ticks(to - from, width - LEFT - RIGHT), axis = s("g", { class: "axis" });
      for (let moment = Math.ceil(from / step) * step; moment <= to; moment += step) axis.append(s("line", { x1: x(moment), x2: x(moment), y1: AXIS - 6, y2: height }), s("text", { x: x(moment) + 3, y: 14 }, stamp(moment, step)));
      svg.append(axis);
      marks = [];
      for (const group of groups) {
        if (severalWorkers) svg.append(s("text", { class: "name", x: 12, y: group.top + 9 }, group.name));
        svg.append(s("line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: group.top + TEST / 2, y2: group.top + TEST / 2 }));
        let last = null;
        const bad = [];
        for (const test of group.tests) {
          if (test.begin + test.total < from || test.begin > to) continue;
          const [left, right] = clip(test.begin, test.begin + test.total);
          marks.push({ left, right: Math.max(right, left + 2), top: group.top, bottom: group.top + TEST, test });
          const isBad = test.outcome === "failed" || test.outcome === "error";
          if (isBad) { bad.push([left, right, test.outcome]); continue; }
          if (last && left - last.right < 1 && last.outcome === test.outcome && right - left < 3) last.right = Math.max(last.right, right);
          else { put(); last = { left, right, outcome: test.outcome }; }
        }
        put();
        function put() {
          if (last) svg.append(s("rect", { class: "test", fill: `var(--${last.outcome || "skipped"})`, x: last.left, y: group.top, width: Math.max(0.6, last.right - last.left - 0.5), height: TEST, rx: 1 }));
          last = null;
        }
        for (const each of group.pulls) {
          if (each.begin + each.length < from || each.begin > to) continue;
          const [left, right] = clip(each.begin, each.begin + each.length);
          marks.push({ left, right: Math.max(right, left + 2), top: group.top + TEST, bottom: group.top + TEST + 4, pull: each });
          svg.append(s("rect", { class: "pull", fill: color(each.group), x: left, y: group.top + TEST + 1, width: Math.max(0.8, right - left), height: 3 }));
        }
        for (const [left, right, outcome] of bad) svg.append(s("rect", { class: "test", fill: `var(--${outcome})`, x: left, y: group.top - 2, width: Math.max(3, right - left), height: TEST + 4, rx: 1 }));
        group.rows.forEach((row, at) => {
          const y = group.top + STRIP + at * ROW;
          let open = null;
          const close = () => { if (open) svg.append(s("rect", { class: "alive container", x: open[0], y, width: Math.max(0.8, open[1] - open[0]), height: BAR, rx: open[1] - open[0] > 6 ? 2 : 0 })); open = null; };
          const later = [];
          for (const each of row.containers) {
            if (each.end < from || each.begin > to) continue;
            const [left, right] = clip(each.begin, each.end);
            marks.push({ left, right: Math.max(right, left + 2), top: y, bottom: y + BAR, container: each });
            if (open && left - open[1] < 0.7 && right - left < 3) open[1] = Math.max(open[1], right);
            else { close(); open = [left, right - 0.5]; }
            later.push([each, left, right]);
          }
          close();
          for (const [each, left, right] of later) {
            const first = each.operations[0];
            if (first && first.name === "pool" && x(first.begin) - left > 1) svg.append(s("rect", { class: "ahead", x: left, y, width: x(first.begin) - left, height: BAR, rx: 2 }));
            if (right - left < 3) {
              const main = each.operations.reduce((most, operation) => (!most || operation.length > most.length ? operation : most), null);
              if (main && (right - left > 1)) svg.append(s("rect", { fill: color(main.group), x: left, y, width: right - left, height: BAR, opacity: 0.8 }));
            } else {
              let until = -1;
              for (const operation of each.operations) {
                if (operation.begin + operation.length < from || operation.begin > to) continue;
                const [a, b] = clip(operation.begin, operation.begin + operation.length);
                if (b - a < 0.5 && a < until + 0.5) continue;
                until = Math.max(a + 0.6, b);
                svg.append(s("rect", { class: "operation", fill: color(operation.group), x: a, y, width: Math.max(0.6, b - a), height: BAR }));
              }
              const [begin, end] = right - left > 40 ? widestGap(each, x, left, right) : [0, 0];
              if (end - begin > 40) svg.append(s("text", { class: "label", x: begin + 5, y: y + 9.5 }, cut(each.id, end - begin - 8)));
            }
            if (each.failed) svg.append(s("rect", { fill: "var(--failed)", x: left, y: y + BAR, width: Math.max(2, right - left), height: 2 }));
            if (each.place === chosen) svg.append(s("rect", { class: "chosen", x: left - 1.5, y: y - 1.5, width: Math.max(3, right - left + 3), height: BAR + 3, rx: 3 }));
          }
        });
      }
      if (drag && drag.now !== drag.at) svg.append(s("rect", { class: "drag", x: Math.min(drag.at, drag.now), y: 0, width: Math.abs(drag.now - drag.at), height }));
      chart.replaceChildren(svg);
    }
    function widestGap(each, x, left, right) {
      // Where nothing is done with a container there is room for its name.
      let end = left, best = [left, left];
      const note = (to) => { if (to - end > best[1] - best[0]) best = [end, to]; };
      for (const operation of each.operations) {
        note(Math.min(right, x(operation.begin)));
        end = Math.max(end, x(operation.begin + operation.length));
      }
      note(right);
      return best;
    }
    const cut = (text, width) => {
      const room = Math.floor(width / 6.2);
      return text.length > room ? `${text.slice(0, room - 1)}…` : text;
    };
    const redraw = () => { if (!pending) { pending = true; requestAnimationFrame(draw); } };
    function setView(from, to) {
      const span = Math.min(whole[1], Math.max(to - from, 2));
      const begin = Math.min(Math.max(from, 0), whole[1] - span);
      view = [begin, begin + span];
      redraw();
    }
    const zoom = (factor, around = (view[0] + view[1]) / 2) => setView(around - (around - view[0]) * factor, around + (view[1] - around) * factor);
    const momentAt = (px) => view[0] + ((px - LEFT) / (chart.clientWidth - LEFT - RIGHT)) * (view[1] - view[0]);
    function under(event) {
      const box = chart.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top + chart.scrollTop;
      let best = null;
      for (const each of marks) if (py >= each.top - 2 && py <= each.bottom + 2 && px >= each.left - 1 && px <= each.right + 1) best = each;
      return best;
    }
    function operationAt(container, px) {
      const moment = momentAt(px), slack = (view[1] - view[0]) / 700;
      return container.operations.filter((each) => each.begin - slack <= moment && moment <= each.begin + each.length + slack).sort((a, b) => a.length - b.length)[0];
    }
    function choose(container, follow) {
      chosen = container ? container.place : -1;
      chosenText.textContent = "";
      if (container) {
        const users = [...container.users].map((test) => run.tests[test]);
        fill(chosenText, {}, [
          h("b", {}, link(`container-${container.place}`, containerName(container))), ` of ${titleOfImage(container)}: from ${time(container.begin)} for ${time(container.end - container.begin)}`,
          users.length ? [", used by ", link(`test-${users[0].place}`, users[0].id), users.length > 1 ? ` and ${plural(users.length - 1, "other test")}` : ""] : ""]);
        const groupsOf = {};
        for (const each of container.operations) groupsOf[each.name] = (groupsOf[each.name] || 0) + each.length;
        chosenText.append(h("ul", { class: "legend" }, Object.entries(groupsOf).map(([name, ms]) => h("li", {}, swatch(groupOf[name] || "other"), `${name} ${time(ms)}`))));
        if (follow && (container.end < view[0] || container.begin > view[1])) { const span = view[1] - view[0]; setView(container.begin - span / 3, container.begin + (span * 2) / 3); }
      }
      redraw();
    }
    chart.addEventListener("pointerdown", (event) => {
      if (event.button || event.offsetX > chart.clientWidth) return;
      const at = event.clientX - chart.getBoundingClientRect().left;
      drag = { at, now: at };
      chart.setPointerCapture(event.pointerId);
    });
    chart.addEventListener("pointermove", (event) => {
      const px = event.clientX - chart.getBoundingClientRect().left;
      if (drag) { drag.now = px; showTip("", event); redraw(); return; }
      const found = under(event);
      if (!found) return showTip("", event);
      if (found.pull) return showTip(`${found.pull.subject}: ${found.pull.name} ${time(found.pull.length)}`, event);
      if (found.test) return showTip(`${found.test.id}: ${found.test.outcome}, ${time(found.test.total)}${found.test.waited ? `, waited ${time(found.test.waited)}` : ""}`, event);
      const operation = operationAt(found.container, px);
      showTip(`${found.container.id} (${titleOfImage(found.container)})${operation ? `: ${operation.name} ${time(operation.length)}` : `: lived ${time(found.container.end - found.container.begin)}`}`, event);
    });
    chart.addEventListener("pointerup", (event) => {
      if (!drag) return;
      const { at, now } = drag;
      drag = null;
      if (Math.abs(now - at) > 4) return setView(...[momentAt(at), momentAt(now)].sort((a, b) => a - b));
      const found = under(event);
      if (found && found.test) { testsTable.show(found.test); goTo(`test-${found.test.place}`); } else choose(found && found.container ? found.container : null);
    });
    chart.addEventListener("pointercancel", () => { drag = null; redraw(); });
    chart.addEventListener("pointerleave", (event) => showTip("", event));
    chart.addEventListener("dblclick", () => setView(...whole));
    chart.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      zoom(Math.exp(event.deltaY * 0.004), momentAt(event.clientX - chart.getBoundingClientRect().left));
    }, { passive: false });
    chart.addEventListener("keydown", (event) => {
      const span = view[1] - view[0], at = inTime.findIndex((each) => each.place === chosen);
      const actions = {
        "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1 / 0.6), 0: () => setView(...whole), Home: () => setView(0, span), End: () => setView(whole[1] - span, whole[1]),
        ArrowLeft: () => setView(view[0] - span / 5, view[1] - span / 5), ArrowRight: () => setView(view[0] + span / 5, view[1] + span / 5),
        ArrowDown: () => choose(inTime[Math.min(at + 1, inTime.length - 1)], true), ArrowUp: () => choose(inTime[Math.max(at - 1, 0)], true), Escape: () => choose(null),
      };
      const action = !event.ctrlKey && !event.metaKey && !event.altKey && actions[event.key];
      if (action) { event.preventDefault(); action(); }
    });
    for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => ({ in: () => zoom(0.5), out: () => zoom(2), all: () => setView(...whole) })[button.dataset.zoom]());
    const legend = $("#timeline .legend");
    for (const group of usedGroups.filter((each) => run.operations.some((operation) => operation.group === each))) legend.append(h("li", {}, swatch(group), label(group)));
    legend.append(h("li", {}, h("i", { class: "swatch", vars: { "--c": "var(--alive)" } }), "alive"));
    if (run.operations.some((each) => each.name === "pool")) legend.append(h("li", {}, h("i", { class: "swatch", vars: { "--c": "var(--ahead)" } }), "ready ahead of its test"));
    new ResizeObserver(redraw).observe(chart);
    draw();
  }

  summary();
  failures();
  timeline();
  tests();
  containers();
  images();
  const parts = [["kept", "Kept", 0], ["failures", "Failures", run.failures.length], ["timeline", "Timeline", 0], ["tests", "Tests", run.tests.length], ["containers", "Containers", run.containers.length], ["images", "Images", run.images.length]];
  for (const [id, title, count] of parts) if (!document.getElementById(id).hidden) $("#parts").append(h("li", {}, h("a", { href: `#${id}` }, title, count ? h("span", { class: "n" }, count.toLocaleString("en")) : null)));
  function follow() {
    const [, kind, place] = location.hash.match(/^#(test|container|failure)-(\d+)$/) || [];
    if (kind === "failure") failuresMore();
    if (kind === "test" && testsTable && run.tests[place]) testsTable.show(run.tests[place]);
    if (kind === "container" && containersTable && run.containers[place]) containersTable.show(run.containers[place]);
    if (kind) goTo(`${kind}-${place}`);
  }
  document.addEventListener("click", (event) => {
    const target = event.target.closest("a[href^='#']");
    const [, kind, place] = (target && target.getAttribute("href").match(/^#(test|container|failure)-(\d+)$/)) || [];
    if (!kind) return;
    if (kind === "test") testsTable.show(run.tests[place]);
    if (kind === "container") containersTable.show(run.containers[place]);
    if (kind === "failure") failuresMore();
  }, true);
  addEventListener("hashchange", follow);
  addEventListener("beforeprint", () => {
    failuresMore();
    testsTable.all();
    if (containersTable) containersTable.all();
    for (const details of [...document.querySelectorAll("details.failure")].slice(0, 100)) details.open = true;
  });
  follow();
})();
