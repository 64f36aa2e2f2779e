// The image view, put together.

import { announce, pageData } from "../page.js";
import { Actions } from "./actions.js";
import { revealCard, showCards } from "./cards.js";
import { Desk } from "./desk.js";
import { Editing } from "./editing.js";
import { showFacts, showHistory, showSimilar } from "./facts.js";
import { listen } from "./gestures.js";
import { bindKeys } from "./keyboard.js";
import { Layers } from "./layers.js";
import { isOpen, isSuggested } from "./pending.js";
import { showFilters, showNeighbours, showProgress } from "./queue.js";
import { Review } from "./review.js";
import { showRefused, watchSaving } from "./saving.js";
import { change, settings } from "./settings.js";
import { Stage } from "./stage.js";
import { Toolbar } from "./toolbar.js";

const byId = (id) => document.getElementById(id);

const review = new Review(pageData());
const stage = new Stage(byId("stage"));
const desk = new Desk();
const actions = new Actions(review, desk);
const layers = new Layers(review, stage, (words) => { byId("cleansing").textContent = words; });
const toolbar = new Toolbar(review, stage, layers);
const editing = new Editing(review, stage, actions);
const space = { held: false, panned: false };
const decides = review.page.role !== "viewer";

function say(words) {
  byId("said").textContent = words;
  announce(words);
}

/** Everything that follows from the regions and what is selected. */
function show() {
  const { regions, selected } = review;
  Object.assign(stage, { regions, selected });
  stage.draw();
  showCards(byId("regions"), review, { select: (id) => review.select(id), decide: (verdict, id) => actions.decide(verdict, id), decides });
  revealCard(byId("regions"));
  byId("no-regions").hidden = regions.length > 0;
  showFacts(review.view);
  showSimilar(review);
  desk.show(review);
  if (decides) {
    byId("tag").setAttribute("aria-pressed", String(actions.tagged()));
    byId("accept-all").disabled = !regions.some(isSuggested);
  }
  toolbar.showExplained();
  layers.cleansed();
}

function showImage() {
  byId("viewer").removeAttribute("aria-busy");
  byId("empty").hidden = true;
  if (document.activeElement === document.body) stage.root.focus({ preventScroll: true });  // Tab goes through the regions
  layers.clear();
  stage.load(review.stored, review.view.transform);
  const open = review.regions.filter(isOpen).length;
  document.title = `${review.view.name} · cxr-audit`;
  say(`${review.view.name}: ${review.regions.length} regions, ${open} to decide.`);
  toolbar.showMethods();
  layers.saliency();
  layers.lungs();
  showHistory(review);
}

function showFailure({ detail: error }) {
  byId("viewer").removeAttribute("aria-busy");
  byId("empty").hidden = false;
  byId("empty").textContent = `This image cannot be shown. ${error.message}`;
  say(error.message);
}

function bindOption(id, name) {
  byId(id).checked = settings[name];
  byId(id).addEventListener("change", () => {
    change({ [name]: byId(id).checked });
    if (review.view) review.lookAround();
  });
}

review.addEventListener("say", ({ detail }) => say(detail));
review.addEventListener("leave", () => editing.commit());
review.addEventListener("image", showImage);
review.addEventListener("change", show);
review.addEventListener("failed", showFailure);
review.addEventListener("refused", ({ detail }) => showRefused(review, detail, actions));
review.addEventListener("progress", ({ detail }) => {
  showProgress(detail);
  showNeighbours(review, detail.position);
});
review.outbox.addEventListener("saved", () => {
  showHistory(review);
  if (review.outbox.pending.length === 0) review.lookAround();
});

watchSaving(review.outbox);
desk.listen(review, actions);
listen(stage, {
  tool: () => toolbar.tool,
  space: () => space.held,
  panned: () => { space.panned = true; },
  select: (id) => review.select(id),
  boxed: (box, id) => (id ? actions.change(id, box) : actions.draw(box, settings.kind)),
  enlarge: (pane) => toolbar.enlarge(pane),
  probe: (words) => { byId("probe").textContent = words; },
});
bindKeys({ review, actions, stage, toolbar, editing, space });
byId("next").addEventListener("click", () => review.step("next"));
byId("previous").addEventListener("click", () => review.step("previous"));
byId("tag")?.addEventListener("click", () => actions.tag());
byId("accept-all")?.addEventListener("click", () => actions.acceptAll());
byId("history").addEventListener("toggle", () => showHistory(review));
byId("similar").addEventListener("toggle", () => review.view && showSimilar(review));
bindOption("auto-advance", "autoAdvance");
bindOption("skip-decided", "skipDecided");
showFilters(review);
review.open(review.place.image, { region: review.place.region, push: false });
review.outbox.resume();
