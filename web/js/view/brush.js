// Painting on the map: one LoRA, by strokes over rows and columns, or by keys. What a stroke means is another's.

import { wordsFor } from './brush_words.js'
import { columnUnder, slotUnder } from './canvas/layout.js'
import { isDark } from './canvas/theme.js'
import { buttonsIn } from './dom.js'
import { namesOf } from './words.js'

const STEP = 0.1

/**
 * @typedef {import('./telling.js').Painting} Painting
 * @typedef {import('../decision/decision.js').Stroke} Stroke
 * @typedef {import('./canvas/layout.js').Cell} Cell
 * @typedef {import('./canvas/layout.js').Place} Place
 * @typedef {{ choose: (lora: number | null) => void, stroke: (stroke: Stroke | null, done: boolean) => void }} Asked
 */

export class Brush {
  #parts
  #words
  #own
  #asked
  #pointOf
  /** @type {Painting | null} */
  #painting = null
  /** Where the stroke that lasts began. @type {{ over: 'slots' | 'columns', from: number } | null} */
  #drag = null

  /**
   * @param {{
   *   parts: ReturnType<typeof import('./dom.js').build>, words: import('./words.js').Words, asked: Asked,
   *   pointOf: (event: PointerEvent) => { place: Place, x: number, y: number } | null, signal: AbortSignal
   * }} of
   */
  constructor({ parts, words, asked, pointOf, signal }) {
    this.#parts = parts
    this.#words = words
    this.#own = wordsFor(words.locale)
    this.#asked = asked
    this.#pointOf = pointOf
    const { canvas, brushes, strength } = parts
    strength.title = this.#own.strength
    strength.setAttribute('aria-label', this.#own.strength)
    brushes.addEventListener('click', ({ target }) => {
      const at = target instanceof HTMLButtonElement ? [...brushes.children].indexOf(target) : -1
      if (at >= 0) this.#choose(at === this.#painting?.lora ? null : at)
    }, { signal })
    for (const element of [brushes, strength]) {
      element.addEventListener('keydown', (event) => event.stopPropagation(), { signal })
    }
    canvas.addEventListener('pointerdown', (event) => this.#down(event), { signal })
    canvas.addEventListener('pointermove', (event) => this.#drag && this.#asked.stroke(this.#strokeTo(event), false), { signal })
    canvas.addEventListener('pointerup', (event) => this.#up(this.#drag && this.#strokeTo(event)), { signal })
    canvas.addEventListener('pointercancel', () => this.#up(null), { signal })
  }

  /** Whether strokes are for painting now. */
  get paints() {
    return this.#painting !== null && this.#painting.lora !== null && !this.#blocked
  }

  /** @param {import('./telling.js').State} state */
  show({ painting = null, plan }) {
    this.#painting = painting
    const { root, brushes, strength } = this.#parts
    const loras = painting?.loras ?? []
    const names = namesOf(loras.map((label) => ({ label })), this.#words)
    buttonsIn(brushes, loras).forEach((button, at) => {
      button.textContent = this.#own.paint(names[at])
      button.setAttribute('aria-pressed', String(at === painting?.lora))
      button.style.setProperty('--klora-lora', plan.page.colours?.[at]?.[isDark() ? 0 : 1] ?? '')
    })
    strength.hidden = painting?.lora == null
    root.toggleAttribute('data-paints', this.paints)
    root.toggleAttribute('data-chosen', painting?.lora != null)
  }

  /**
   * The two lines of the LoRA that is painted, and of the cell under the cursor; null where none is.
   * @param {string} cell @returns {[string, string] | null}
   */
  told(cell) {
    const { lora, loras, row, why } = this.#painting ?? {}
    if (lora == null) return null
    const [name] = namesOf([{ label: loras?.[lora] ?? '' }], this.#words)
    const { start = 0, end = 1, blocks = '' } = row ?? {}
    if (why) return [this.#own[why](name), row ? this.#own.row(name, blocks, start, end) : '']
    return [this.#own.row(name, blocks, start, end), cell || this.#own.how]
  }

  /** Whether a key was for painting; then it is done. @param {KeyboardEvent} event @param {Cell | null} cursor */
  key({ key }, cursor) {
    const { loras = [], lora = null } = this.#painting ?? {}
    if (key === 'p' && loras.length) {
      this.#choose(lora === null ? 0 : lora + 1 < loras.length ? lora + 1 : null)
      return true
    }
    if (lora === null) return false
    if (key === 'Escape') {
      if (this.#drag) this.#up(null)
      else this.#choose(null)
      return true
    }
    const stroke = this.paints ? this.#strokeOf(key, cursor) : null
    if (stroke) this.#asked.stroke(stroke, true)
    // The page would take Delete for the node's.
    return stroke !== null || [' ', '+', '-', '[', ']', 'Delete', 'Backspace'].includes(key)
  }

  get #blocked() {
    return this.#painting?.why != null && this.#painting.why !== 'split'
  }

  get #strength() {
    const value = this.#parts.strength.valueAsNumber
    return Number.isFinite(value) ? value : 0
  }

  /** @param {string} key @param {Cell | null} cursor @returns {Stroke | null} */
  #strokeOf(key, cursor) {
    if (key === 'Delete' || key === 'Backspace') return { anew: true }
    if (!cursor) return null
    const { slot, column } = cursor
    /** @type {Record<string, Stroke>} */
    const strokes = {
      ' ': { slots: [slot, slot], strength: this.#strength },
      '+': { slots: [slot, slot], by: STEP },
      '-': { slots: [slot, slot], by: -STEP },
      '[': { columns: [column, null] },
      ']': { columns: [null, column] }
    }
    return strokes[key] ?? null
  }

  /** @param {number | null} lora */
  #choose(lora) {
    this.#drag = null
    this.#asked.choose(lora)
  }

  /** @param {PointerEvent} event */
  #down(event) {
    const at = this.#pointOf(event)
    if (event.button !== 0 || !this.paints || !at) return
    // The page would drag the node.
    event.stopPropagation()
    const { canvas } = this.#parts
    canvas.focus({ preventScroll: true })
    canvas.setPointerCapture(event.pointerId)
    const { place, x, y } = at
    const { map } = place
    if (y < map.top) return
    this.#drag = y < map.bottom ? { over: 'slots', from: slotUnder(place, y) } : { over: 'columns', from: columnUnder(place, x) }
    this.#asked.stroke(this.#strokeTo(event), false)
  }

  /** @param {Stroke | null} stroke */
  #up(stroke) {
    const was = this.#drag
    this.#drag = null
    if (was) this.#asked.stroke(stroke, true)
  }

  /** @param {PointerEvent} event @returns {Stroke | null} */
  #strokeTo(event) {
    const at = this.#pointOf(event)
    if (!at || !this.#drag) return null
    const { over, from } = this.#drag
    if (over === 'slots') return { slots: [from, slotUnder(at.place, at.y)], strength: this.#strength }
    return { columns: [from, columnUnder(at.place, at.x)] }
  }
}
