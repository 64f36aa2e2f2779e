// The page of one finding: its decision.

import { verdictKeys, wire } from "./decide.js";
import { bind } from "./keys.js";

const card = document.querySelector("[data-finding]");
wire(card);
bind({
  G: { group: "Move", label: "Images of the finding", run: () => card.querySelector('a[href*="/gallery"]')?.click() },
  ...verdictKeys(() => card),
});
