// The repair page: what a repair would change, samples of it, starting one and watching it.

import { call, newKey } from "./api.js";
import { watch } from "./job.js";
import { announce, complain, element, pageData } from "./page.js";
import { planBody } from "./plan-view.js";
import { showSamples } from "./samples.js";

const page = pageData();
const base = `/audits/${encodeURIComponent(page.run)}`;
const start = document.getElementById("start");
const confirm = document.getElementById("confirm");
const panel = document.getElementById("plan");
let plan = null;
let revision = null;
let atWork = false;

const job = watch(base, (running) => {
  const ended = atWork && !running;
  atWork = running;
  allow();
  if (ended) load();
});
load();

async function load() {
  panel.setAttribute("aria-busy", "true");
  const state = document.getElementById("plan-state");
  try {
    ({ revision } = await call("GET", base));  // first: what is decided meanwhile makes the plan old, not new
    plan = await call("GET", `${base}/plan`);
    state.hidden = true;
    document.getElementById("plan-body").replaceChildren(...planBody(plan));
    announce(plan.words[0] ?? "The plan is there.");
    await showSamples(base, plan.samples);
  } catch (error) {
    state.textContent = error.message;
  } finally {
    panel.removeAttribute("aria-busy");
    allow();
  }
}

function allow() {
  if (start) start.disabled = atWork || !plan?.possible;
}

start?.addEventListener("click", () => {
  const changes = Object.values(plan.impact).reduce((sum, change) => sum + change.images, 0);
  document.getElementById("confirm-words").replaceChildren(
    element("strong", { textContent: `${changes.toLocaleString("en-GB")} images would be changed.` }),
    ...plan.warnings.map((words) => element("span", { className: "warn", textContent: ` ${words}` })),
  );
  confirm.returnValue = "";
  confirm.showModal();
});
confirm.addEventListener("close", async () => {
  if (confirm.returnValue !== "start") return;
  start.disabled = true;
  try {
    const device = document.getElementById("device").value;
    job.show(await call("POST", `${base}/repair`, { key: newKey(), device, revision }));
    document.getElementById("job-title").scrollIntoView({ block: "center" });
  } catch (error) {
    complain(error);
    if (error.status === 409) await load();
    allow();
  }
});
