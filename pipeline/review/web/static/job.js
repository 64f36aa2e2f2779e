// The state of a repair: asked for every two seconds while it is at work, shown by stages.

import { call, newKey } from "./api.js";
import { announce, complain, element } from "./page.js";

const EVERY = 2000;
const WORDS = {
  waiting: "waiting to start", running: "at work", complete: "complete", failed: "failed", cancelled: "cancelled",
};
const CHIPS = { waiting: "repairing", running: "repairing", complete: "complete", failed: "failed", cancelled: "open" };

/**
 * Watch the repair of an audit.
 * @param {string} base path of the audit below /api
 * @param {(running: boolean) => void} changed called after every answer
 */
export function watch(base, changed) {
  const cancel = document.getElementById("cancel");
  let said = "";
  let timer = 0;

  function show(job) {
    const running = job.state === "waiting" || job.state === "running";
    document.getElementById("job").hidden = job.state === "none";
    document.getElementById("job-report").hidden = !job.report || running;
    if (cancel) cancel.hidden = !running;
    fill(job);
    if (said && said !== job.state) announce(`The repair is ${WORDS[job.state]}.`);
    said = job.state;
    clearTimeout(timer);
    if (running) timer = setTimeout(ask, EVERY);
    changed(running);
  }

  async function ask() {
    try {
      show(await call("GET", `${base}/repair`));
    } catch (error) {
      if (error.status === 0) timer = setTimeout(ask, EVERY);  // the server may come back, and the repair goes on
      else complain(error);
    }
  }

  cancel?.addEventListener("click", async () => {
    cancel.disabled = true;
    try {
      show(await call("POST", `${base}/repair/cancel`, { key: newKey() }));
    } catch (error) {
      complain(error);
    } finally {
      cancel.disabled = false;
    }
  });
  ask();
  return { show };
}

function fill(job) {
  const chip = document.getElementById("job-state");
  chip.hidden = job.state === "none";
  chip.className = `chip ${CHIPS[job.state] ?? ""}`;
  chip.textContent = WORDS[job.state] ?? "";
  const times = [["started", job.started], ["ended", job.ended]]
    .filter(([, time]) => time).map(([word, time]) => `${word} ${new Date(time).toLocaleString("en-GB")}`);
  const by = job.by && `by ${job.by}`;
  document.getElementById("job-facts").textContent = [...times, by, job.how].filter(Boolean).join(" · ");
  document.getElementById("job-words").replaceChildren(...job.words.map((words) => element("li", { textContent: words })));
  document.getElementById("stages").replaceChildren(...job.stages.map(stage));
}

function stage({ stage: name, done, total }) {
  const label = element("span", { textContent: name });
  const bar = element("progress", { max: total || 1, value: done });
  bar.setAttribute("aria-label", name);
  const words = done >= total && total > 0 ? "done" : `${done.toLocaleString("en-GB")} of ${total.toLocaleString("en-GB")}`;
  return element("li", {}, [label, bar, element("span", { className: "number muted small", textContent: words })]);
}
