// Signing in: the form sends JSON, and leads on to the page that was asked for.

import { call } from "./api.js";

const form = document.getElementById("login");
const problem = document.getElementById("problem");
const button = form.querySelector("button");

/** The address in `?next=`, if it is one of this site. */
function destination() {
  const next = new URLSearchParams(location.search).get("next") ?? "/";
  const address = new URL(next, location.origin);
  return next.startsWith("/") && address.origin === location.origin ? address.href : "/";
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.textContent = "";
  button.disabled = true;
  try {
    await call("POST", "/login", { name: form.elements.name.value, password: form.elements.password.value });
    location.replace(destination());
  } catch (error) {
    problem.textContent = error.message;
    form.elements.password.select();
  } finally {
    button.disabled = false;
  }
});

button.disabled = false;  // before, the browser itself would have sent the form
