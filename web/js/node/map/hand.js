// What a hand paints on the map of a node: which LoRA, on which row of LoRA Set, and what that row says meanwhile.

import { rowAt, rowPlaces } from '../../graph/rows.js'
import { setWidgets } from '../../graph/widgets.js'
import { canPaint } from '../../methods/hand.js'
import { isReadable, rowsThatRan, stroked } from '../../methods/rows.js'

/**
 * @typedef {import('../../decision/decision.js').Row} Row
 * @typedef {import('../../decision/document.js').PlanDocument} PlanDocument
 * @typedef {import('../../view/telling.js').Painting} Painting
 * @typedef {import('../../decision/decision.js').Stroke} Stroke
 */

export class Hand {
  #app
  #node
  /** @type {number | null} */
  #lora = null
  /** What the row of that LoRA would say, while a stroke lasts. @type {Row | null} */
  #meanwhile = null
  /** The last stroke could not be done. */
  #split = false

  /** @param {any} app @param {any} node */
  constructor(app, node) {
    this.#app = app
    this.#node = node
  }

  /** The LoRA that is chosen, by its number. */
  get lora() {
    return this.#lora
  }

  /** Paints a LoRA from now on, by its number; null for none. @param {number | null} lora */
  choose(lora) {
    this.#lora = lora
    this.#meanwhile = null
    this.#split = false
  }

  /**
   * What decides by the rows as they are now, and what the map tells of painting them; null where nothing can be
   * painted there.
   * @param {PlanDocument} plan
   * @returns {{ byHand: import('../../decision/decision.js').ByHand, painting: Painting | null }}
   */
  look(plan) {
    const { rootGraph } = this.#app
    const places = rowPlaces(this.#node, plan, rootGraph)
    const rows = places.map((place) => rowAt(place, rootGraph))
    if (!canPaint(plan)) return { byHand: { rows, painting: null }, painting: null }
    const loras = plan.page.labels ?? []
    const lora = this.#lora !== null && this.#lora < loras.length ? this.#lora : null
    if (lora === null) return { byHand: { rows, painting: null }, painting: { loras, lora, row: null, why: null } }
    const why = whyNot(places[lora], rows[lora], rowsThatRan(plan)[lora])
    rows[lora] = this.#meanwhile ?? rows[lora]
    const painting = { loras, lora, row: rows[lora], why: why ?? (this.#split ? 'split' : null) }
    return { byHand: { rows, painting: why ? null : lora }, painting }
  }

  /**
   * A stroke, of which `done` says whether it is over: only then the row is set. Null: it is given up.
   * @param {Stroke | null} stroke @param {boolean} done @param {PlanDocument} plan @param {Float64Array} xs
   */
  stroke(stroke, done, plan, xs) {
    const { rootGraph } = this.#app
    const lora = this.#lora
    this.#meanwhile = null
    if (lora === null || !stroke) return
    const place = rowPlaces(this.#node, plan, rootGraph)[lora]
    const before = place ? rowAt(place, rootGraph) : null
    if (!before || whyNot(place, before, rowsThatRan(plan)[lora])) return
    const after = stroked(stroke, before, { document: plan, lora, xs })
    this.#split = !after
    if (!after) return
    const { start, end, blocks } = after
    if (done) setWidgets(place.node, { start, end, blocks }, this.#app)
    else this.#meanwhile = after
  }
}

/**
 * Why a row can't be painted, of which `ran` is what the run had.
 * @param {import('../../graph/rows.js').Place | undefined} place @param {Row | null} row @param {Row} ran
 * @returns {import('../../view/telling.js').Why | null}
 */
function whyNot(place, row, ran) {
  if (!place || !row) return place?.why ?? 'changed'
  return isReadable(row, ran) ? null : 'unreadable'
}
