// What is saved and what is not: the sign in the frame, and the banner for what the server refused.

import { element } from "../page.js";

const byId = (id) => document.getElementById(id);

/** @param {import("./outbox.js").Outbox} outbox */
export function watchSaving(outbox) {
  const sign = byId("saved");
  sign.addEventListener("click", () => outbox.now());
  outbox.addEventListener("change", () => {
    const number = outbox.pending.length;
    sign.hidden &&= !number;
    sign.disabled = !outbox.trouble;
    sign.dataset.state = outbox.trouble ? "trouble" : "";
    sign.textContent = outbox.trouble ? `${number} not saved: ${reason(outbox.trouble)}` : number ? "Saving …" : "All saved ✓";
    sign.title = outbox.trouble ? `${outbox.pending.map(({ words }) => words).join("; ")}. Press to try again now.` : "";
    if (outbox.trouble?.status === 401) offerSignIn();
  });
}

function reason({ status }) {
  if (status === 401) return "signed out";
  return status === 0 ? "no answer, trying again" : "server in trouble, trying again";
}

function offerSignIn() {
  const link = element("a", { href: "/login", target: "_blank", rel: "noopener", textContent: "Sign in in a new tab" });
  show([element("p", {}, ["You were signed out. ", link, "; what is not saved is sent then."])]);
}

/**
 * Tell that a request was refused, what others did meanwhile, and offer to send it again.
 * @param {import("./review.js").Review} review
 * @param {{request: import("./outbox.js").Request, error: import("../api.js").ApiError}} refusal
 * @param {import("./actions.js").Actions} actions
 */
export function showRefused(review, { request, error }, actions) {
  const here = request.image === review.place.image;
  const heading = element("p", {}, [element("strong", { textContent: `Not saved: ${request.words}. ` }), error.message]);
  const told = error.changes.filter(({ words }) => !error.message.includes(words.replace(/\.$/, "")));
  const changes = told.map(({ words }) => element("li", { textContent: words }));
  const parts = [heading, element("ul", {}, changes)];
  if (!here && request.body.comment) parts.push(element("p", { textContent: `Your comment: “${request.body.comment}”` }));
  if (!here) parts.push(button("Go to that image", () => actions.goBack(request)));
  if (here && error.status === 409) parts.push(button("Do it all the same", () => actions.again(request)));
  show(parts);
}

function show(parts) {
  const banner = byId("banner");
  banner.replaceChildren(...parts, button("Close", () => {}));
  banner.hidden = false;
}

function button(textContent, press) {
  const made = element("button", { type: "button", textContent });
  made.addEventListener("click", () => {
    byId("banner").hidden = true;
    press();
  });
  return made;
}
