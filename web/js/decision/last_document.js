// The document that a map shows: what the last run sent, as soon as all of it is there. Pure.

/**
 * A document on its way, with what was so when it was sent: the workflow, and what the map can't follow; null where
 * an earlier run sent it. `whole` is null where a part of it can't be had any more.
 * @typedef {import('./document.js').PlanDocument} PlanDocument
 * @typedef {{ whole: Promise<PlanDocument | null>, workflow: string, setTo: string | null }} Coming
 */

export class LastDocument {
  #changed
  /** @type {PlanDocument | null} */
  #plan = null
  /** @type {Coming | null} */
  #coming = null
  #gone = false
  #workflow = ''
  /** @type {string | null} */
  #setTo = null

  /** @param {() => void} changed */
  constructor(changed) {
    this.#changed = changed
  }

  get plan() {
    return this.#plan
  }

  /** Whether the last one can't be had any more. */
  get gone() {
    return this.#gone
  }

  /** What the map can't follow, as set when the document was sent; null where that is not known. */
  get setTo() {
    return this.#setTo
  }

  /** Whether nothing was sent yet. */
  get waits() {
    return !this.#plan && !this.#coming && !this.#gone
  }

  /** Whether there is, or will be, one of the workflow. @param {string} workflow */
  isOf(workflow) {
    return this.#coming ? this.#coming.workflow === workflow : this.#plan !== null && this.#workflow === workflow
  }

  /** Another one was sent. @param {Coming} coming */
  async expect(coming) {
    this.#coming = coming
    const plan = await coming.whole
    // The last one that was sent counts, not the last one to come.
    if (this.#coming !== coming) return
    this.#coming = null
    this.#take(plan, coming.workflow, coming.setTo)
  }

  /** Goes on where another one is. @param {LastDocument} other */
  succeed(other) {
    if (other.#plan) this.#take(other.#plan, other.#workflow, other.#setTo)
    if (other.#coming) this.expect(other.#coming)
  }

  /** @param {PlanDocument | null} plan @param {string} workflow @param {string | null} setTo */
  #take(plan, workflow, setTo) {
    this.#plan = plan
    this.#gone = !plan
    this.#workflow = workflow
    this.#setTo = setTo
    this.#changed()
  }
}
