// The map's bitmap: built when what it shows, its size or its zoom changes, with the marks drawn over it each time.

import { familiesOf } from '../decision/document.js'
import { drawMap, drawOverlay, fontOf } from './canvas/drawing.js'
import { layout } from './canvas/layout.js'
import { coloursNow } from './canvas/theme.js'
import { namesOf } from './words.js'

const SHARPEST = 4

/**
 * @typedef {import('./telling.js').State} State
 * @typedef {import('./telling.js').Cell} Cell
 */

export class Painter {
  /** @type {import('./canvas/layout.js').Place | null} */
  place = null
  #canvas
  #base = document.createElement('canvas')
  #stale = true

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas
  }

  /** The bitmap is built anew the next time. */
  spoil() {
    this.#stale = true
  }

  /** Whether size or zoom ask for another bitmap. */
  get outgrown() {
    const { width, height } = this.#size()
    return this.place?.width !== width || this.place?.height !== height
  }

  /**
   * Where the pointer is on the bitmap; null before anything was drawn.
   * @param {{ clientX: number, clientY: number }} event
   */
  pointOf({ clientX, clientY }) {
    if (!this.place) return null
    const box = this.#canvas.getBoundingClientRect()
    const scale = this.place.width / box.width
    return { place: this.place, x: (clientX - box.left) * scale, y: (clientY - box.top) * scale }
  }

  /**
   * Draws a map of slots with its marks, if there is room for it; whether the bitmap was built anew.
   * @param {State} state @param {{ current: number | null, cursor: Cell | null }} marks
   * @param {import('./words.js').Words} words
   */
  draw(state, { current, cursor }, words) {
    const canvas = this.#canvas
    if (!canvas.offsetWidth || !canvas.offsetHeight) return false
    const made = this.#stale
    const colours = coloursNow(state.plan)
    if (made) this.#rebuild(state, colours, words)
    this.#stale = false
    const ctx = canvas.getContext('2d')
    if (!ctx || !this.place) return made
    ctx.clearRect(0, 0, canvas.width, canvas.height)
    ctx.drawImage(this.#base, 0, 0)
    const last = state.decision.columns.count - 1
    const column = current === null ? null : Math.min(current, last)
    drawOverlay(ctx, { place: this.place, colours, current: column, cursor })
    return made
  }

  /** @param {State} state @param {import('./canvas/theme.js').Colours} colours @param {import('./words.js').Words} words */
  #rebuild({ plan, decision, shares, names }, colours, words) {
    const { step, x, shares: share } = words
    const families = familiesOf(plan.candidates)
    const called = namesOf(families, words)
    const legend = families.map(({ members }, i) => ({ name: called[i], candidate: members[0] }))
    const canvas = this.#canvas
    const { k, width, height } = this.#size()
    for (const target of [canvas, this.#base]) {
      if (target.width !== width) target.width = width
      if (target.height !== height) target.height = height
    }
    const ctx = this.#base.getContext('2d')
    if (!ctx) return
    const family = getComputedStyle(canvas).fontFamily
    ctx.font = fontOf(k, family)
    const measure = (/** @type {string} */ text) => ctx.measureText(text).width
    this.place = layout({ slots: plan.slots, count: decision.columns.count, width, height, k, measure })
    drawMap(ctx, { place: this.place, decision, shares, colours, family, labels: { step, x, share, candidates: names, legend } })
  }

  /** Device pixels per CSS pixel, the graph's zoom included. */
  #density() {
    const canvas = this.#canvas
    const zoom = canvas.offsetWidth ? canvas.getBoundingClientRect().width / canvas.offsetWidth : 1
    return Math.min(SHARPEST, Math.max(1, devicePixelRatio * zoom))
  }

  #size() {
    const { offsetWidth, offsetHeight } = this.#canvas
    const k = this.#density()
    return { k, width: Math.round(offsetWidth * k), height: Math.round(offsetHeight * k) }
  }
}
