// What a reader does: each action is one request, shown at once and saved when the server says so.

import { call, newKey } from "../api.js";
import { isOpen, isSuggested, nextOpen, withPending } from "./pending.js";
import { settings } from "./settings.js";
import { count, regionName, VERDICTS } from "./words.js";

const WIDE = new Set(["same-text-and-place", "same-cluster", "finding"]);

export class Actions {
  /**
   * @param {import("./review.js").Review} review
   * @param {{confirm: (words: object) => Promise<boolean>, comment: {value: string}, scope: {value: string}, forRegion: () => void}} desk
   */
  constructor(review, desk) {
    Object.assign(this, { review, desk });
    review.outbox.addEventListener("saved", (event) => this.saved(event.detail));
    review.outbox.addEventListener("refused", (event) => this.refused(event.detail));
  }

  get base() {
    return this.review.source.base;
  }

  get image() {
    return this.review.view.image_id;
  }

  /** Whether this reader may change anything; says so where not. */
  may() {
    const yes = this.review.page.role !== "viewer" && this.review.view !== null;
    if (!yes) this.review.say("You may look, but not decide: ask for the role reviewer.");
    return yes;
  }

  submit(path, body, words, effect, method = "POST") {
    const key = newKey();
    this.review.outbox.add({ key, method, path: this.base + path, body: { key, ...body }, image: this.image, words, effect });
  }

  /** What a decision aims at. */
  target(region, scope) {
    return scope === "finding" ? { finding: region.finding } : { regions: [region.region_id], scope };
  }

  /** How many regions a decision would reach. */
  reach(region, scope) {
    return call("POST", `${this.base}/decisions/reach`, this.target(region, scope));
  }

  /**
   * Decide a region and what the scope adds to it, then go on.
   * @param {import("./words.js").Verdict | null} verdict  null takes the reader's own decision back
   * @param {string | null} [id]  the selected region where none is given; then with its scope
   */
  async decide(verdict, id = null) {
    const region = id ? this.review.regions.find(({ region_id }) => region_id === id) : this.review.region;
    if (!this.may()) return;
    if (!region) return this.review.say("Select a region first (Tab or J).");
    if (region.region_id.startsWith("new-")) return this.review.say("The new box is not saved yet.");
    const scope = id && id !== this.review.selected ? "region" : this.desk.scope.value || "region";
    if (scope === "region") return this.send(region, scope, verdict, null);
    const reach = await this.asked(region, scope, verdict);
    if (reach) this.send(region, scope, verdict, reach.revision);
  }

  /** Tell how far a decision reaches; the answer where the reader wants it. */
  async asked(region, scope, verdict) {
    try {
      const reach = await this.reach(region, scope);
      return (await this.desk.confirm({ region, scope, verdict, reach })) ? reach : null;
    } catch (error) {
      this.review.say(error.message);
      return null;
    }
  }

  send(region, scope, verdict, revision) {
    const { review } = this;
    const comment = this.desk.comment.value.trim();
    const done = verdict ? VERDICTS[verdict].done : "taken back";
    const words = `${regionName(region)}: ${done}`;
    const expected = { [this.image]: review.view.version };
    const effect = { type: "decide", region: region.region_id, scope, verdict, wide: WIDE.has(scope) };
    this.submit("/decisions", { target: this.target(region, scope), verdict, comment, expected, revision }, words, effect);
    this.desk.comment.value = "";
    this.desk.forRegion();
    this.goOn(region.region_id, words, verdict);
  }

  /** After a decision: the next open region, then the next image. */
  goOn(id, words, verdict) {
    const { review } = this;
    const left = review.regions.filter(isOpen).length;
    review.say(`${words}, ${left ? `${left} left here` : "all decided here"}.`);
    if (verdict === null || !settings.autoAdvance) return;
    if (left) review.select(nextOpen(review.regions, id), { quiet: true });
    else review.step("next");
  }

  /** Accept all that is suggested on the image, one decision each, in one request. */
  acceptAll() {
    if (!this.may()) return;
    const open = this.review.regions.filter(isSuggested);
    if (!open.length) return this.review.say("Nothing is suggested: devices and what was held back are decided one by one.");
    const ids = open.map(({ region_id }) => region_id);
    const body = {
      target: { regions: ids, scope: "region" }, verdict: "accepted", comment: this.desk.comment.value.trim(),
      expected: { [this.image]: this.review.view.version }, revision: null,
    };
    const words = `${count(open.length, "region")} accepted`;
    this.submit("/decisions", body, words, { type: "decide", region: ids, scope: "region", verdict: "accepted" });
    this.desk.comment.value = "";
    this.goOn(ids.at(-1), words, "accepted");
  }

  tag() {
    if (!this.may()) return;
    const tagged = !this.tagged();
    const words = tagged ? "Marked for a second reader" : "No longer marked for a second reader";
    this.submit(`/images/${this.image}/tag`, { tagged, expected: this.review.view.version }, words, { type: "tag", tagged });
    this.review.say(`${words}.`);
  }

  /** Whether the image is marked, as the reader sees it. */
  tagged() {
    const last = this.review.outbox.pending.findLast(({ image, effect }) => image === this.image && effect?.type === "tag");
    return last ? last.effect.tagged : this.review.view.tagged;
  }

  draw(box, kind) {
    if (!this.may()) return;
    const body = { image_id: this.image, kind, box, expected: this.review.view.version };
    this.submit("/regions", body, `New ${kind}`, { type: "draw", kind, box });
    this.review.select(this.review.regions.at(-1).region_id, { quiet: true });
    this.review.say(`New box, ${kind}: ${boxWords(box)}.`);
  }

  change(id, box) {
    const region = this.review.regions.find(({ region_id }) => region_id === id);
    if (!this.may() || !region || id.startsWith("new-")) return;
    const words = `${regionName(region)} moved`;
    this.submit(`/regions/${id}`, { box, expected: this.review.view.version }, words, { type: "change", region: id, box }, "PATCH");
    this.review.say(`${words}: ${boxWords(box)}.`);
  }

  remove() {
    const { region } = this.review;
    if (!this.may() || !region || region.region_id.startsWith("new-")) return;
    const words = `${regionName(region)} deleted`;
    const expected = this.review.view.version;
    this.submit(`/regions/${region.region_id}/delete`, { expected }, words, { type: "delete", region: region.region_id });
    this.review.say(`${words}. Ctrl+Z brings it back.`);
    const others = this.review.regions.filter(({ region_id }) => region_id !== region.region_id);
    this.review.select(nextOpen(this.review.regions, region.region_id) ?? others[0]?.region_id ?? null, { quiet: true });
  }

  /** @param {"undo" | "redo"} which */
  step(which) {
    if (!this.may()) return;
    this.submit(`/${which}`, {}, which === "undo" ? "Undone" : "Done again", undefined);
  }

  saved({ request, outcome }) {
    const { review } = this;
    const far = !request.effect || request.effect.wide;
    if (far) review.source.forgetViews();
    else review.source.views.delete(request.image);
    if (!request.effect) this.stepped(request, outcome);
    if (far && request.effect) review.say(`Saved: ${request.words}, ${count(outcome.regions, "region")} on ${count(outcome.images, "image")}.`);
    if (review.view?.image_id !== request.image) return;
    review.view = baked(review.view, request, outcome);
    if (review.place.image === request.image) review.refresh();
  }

  /** Undo and redo lead to the image they changed. */
  async stepped(request, outcome) {
    const { review } = this;
    if (outcome.focus && outcome.focus !== review.place.image) await review.open(outcome.focus);
    review.say(`${request.words} on ${review.view.name}: ${count(outcome.regions, "region")}.`);
  }

  /** The image is shown as it is now before anybody is asked whether to do it all the same. */
  async refused({ request, error }) {
    const { review } = this;
    review.say(`Not saved: ${request.words}.`);
    review.source.views.delete(request.image);
    if (review.place.image === request.image) {
      this.restore(request);
      if (request.effect) review.select(regionOf(request) ?? review.selected, { quiet: true });
      await review.refresh();
    }
    review.dispatchEvent(new CustomEvent("refused", { detail: { request, error } }));
  }

  /** Give a comment that was not saved back to its writer. */
  restore({ body }) {
    if (body.comment && !this.desk.comment.value) this.desk.comment.value = body.comment;
  }

  /** Show the image of a refused request, with its comment. */
  async goBack(request) {
    await this.review.open(request.image, { region: regionOf(request) });
    this.restore(request);
  }

  /** Send a refused decision again, on the image as it is now. */
  again(request) {
    const key = newKey();
    const { version } = this.review.view;
    const expected = typeof request.body.expected === "number" ? version : { [this.image]: version };
    const revision = request.body.revision === undefined ? {} : { revision: null };
    if (this.desk.comment.value === request.body.comment) this.desk.comment.value = "";
    this.review.outbox.add({ ...request, key, body: { ...request.body, key, expected, ...revision } });
    if (request.effect?.type === "decide") this.goOn(regionOf(request), request.words, request.effect.verdict);
  }
}

/** The image with an acknowledged request in it, until it is asked for again. */
function baked(view, request, outcome) {
  const regions = withPending(view, [request]).filter(({ deleting }) => !deleting);
  const tagged = request.effect?.type === "tag" ? request.effect.tagged : view.tagged;
  const version = Math.max(view.version, outcome.versions[view.image_id] ?? 0);
  return { ...view, tagged, version, regions: regions.map(({ unsaved, ...region }) => region) };
}

/** The region that a request was about, the first of several. */
function regionOf({ effect }) {
  return [effect?.region].flat()[0] ?? null;
}

export function boxWords({ x0, y0, x1, y1 }) {
  return `x ${x0} to ${x1}, y ${y0} to ${y1}`;
}
