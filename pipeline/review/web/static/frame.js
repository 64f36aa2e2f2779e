// The frame's own behaviour: the list of keys, signing out.

import { call } from "./api.js";
import { bind } from "./keys.js";
import { complain } from "./page.js";

bind({});  // "?" works on every page

document.getElementById("sign-out")?.addEventListener("click", async () => {
  try {
    await call("POST", "/logout");
    location.assign("/login");
  } catch (error) {
    complain(error);
  }
});
