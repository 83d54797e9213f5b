// One live map on the page: what it shows, how it is folded, hovered and walked with the keyboard.
// Knows nothing of ComfyUI, nor of any method.

import { sharesOf } from '../decision/decision.js'
import { Brush } from './brush.js'
import { listenToButtons, showButtons } from './buttons.js'
import { cellAt } from './canvas/layout.js'
import { watchTheme } from './canvas/theme.js'
import { build, clamp, onPress, sayIn } from './dom.js'
import { showHeader } from './header.js'
import { walked } from './keys.js'
import { Painter } from './painter.js'
import { tell } from './telling.js'
import { namesOf } from './words.js'

export const FOLDED_HEIGHT = 30
export const OPEN_HEIGHT = 300
const ERROR_LINES = 3

/**
 * @typedef {import('./telling.js').Shown} Shown
 * @typedef {import('./telling.js').State} State
 * @typedef {import('./telling.js').Cell} Cell
 * @typedef {import('./telling.js').Hint} Hint
 */

export class MapView {
  #parts = build()
  #words
  #onFold
  /** @type {State | null} */
  #state = null
  /** @type {import('./header.js').Said} */
  #said = { hint: null, error: '', missing: '', unfolded: false }
  #painter = new Painter(this.#parts.canvas)
  #brush
  #frame = 0
  /** @type {Cell | null} */
  #cursor = null
  /** @type {number | null} */
  #current = null
  #open = true
  #end = new AbortController()

  /**
   * When the person folds or unfolds the map, `onFold(open, change)` is called and calls `change`; when they ask for
   * a setting that a button names, `onSet` with it; `painting` hears which LoRA they paint, and each stroke.
   * @param {{
   *   words: import('./words.js').Words, open: boolean, onFold: (open: boolean, change: () => void) => void,
   *   onSet?: (set: { dial: string, value: number | string }) => void, painting?: import('./brush.js').Asked
   * }} asked
   */
  constructor({ words, open, onFold, onSet = () => {}, painting = { choose: () => {}, stroke: () => {} } }) {
    this.#words = words
    this.#onFold = onFold
    sayIn(this.#parts.place, [words.place, words.placeMore])
    const { signal } = this.#end
    this.#brush = new Brush({ parts: this.#parts, words, asked: painting, pointOf: (event) => this.#painter.pointOf(event), signal })
    listenToButtons(this.#parts, () => this.#state, onSet, signal)
    this.#listen()
    this.fold(open)
  }

  get element() {
    return this.#parts.root
  }

  get open() {
    return this.#open
  }

  /** Nothing has run yet: says what will be shown here. @param {Hint | null} hint */
  wait(hint) {
    this.#state = null
    this.#said.hint = hint
    this.#header()
  }

  /** Says why the last run failed, or no longer where that is ''. @param {string} error */
  fail(error) {
    this.#said.error = error
    this.#header()
  }

  /** Says what did not work in the last run, or nothing where that is ''. @param {string} missing */
  miss(missing) {
    this.#said.missing = missing
    this.#header()
  }

  /** @param {Shown} shown */
  show(shown) {
    const { decision, plan } = shown
    this.#said.hint = shown.hint
    const shares = sharesOf(decision, plan.candidates.length)
    this.#state = { ...shown, shares, names: namesOf(plan.candidates, this.#words) }
    if (this.#cursor) {
      const slot = Math.min(this.#cursor.slot, plan.slots.length - 1)
      const column = Math.min(this.#cursor.column, decision.columns.count - 1)
      this.#cursor = slot < 0 ? null : { slot, column }
    }
    this.#parts.root.dataset.columns = decision.columns.run ? 'run' : decision.columns.kind
    this.#painter.spoil()
    this.#header()
    this.#tell()
    this.#schedule()
  }

  /** Marks the column that the sampler is in, from 0; null for none. @param {number | null} column */
  mark(column) {
    if (column === this.#current) return
    this.#current = column
    if (column === null) delete this.#parts.root.dataset.column
    else this.#parts.root.dataset.column = String(column + 1)
    this.#schedule()
  }

  /** @param {boolean} open */
  fold(open) {
    this.#open = open
    const { root, header } = this.#parts
    root.toggleAttribute('data-open', open)
    this.#header()
    root.style.setProperty('--klora-height', `${open ? OPEN_HEIGHT : FOLDED_HEIGHT}px`)
    header.setAttribute('aria-expanded', String(open))
    this.refresh()
  }

  /** Draws again at the present size, zoom and theme. */
  refresh() {
    this.#painter.spoil()
    this.#schedule()
  }

  /** Draws again if size or zoom ask for another bitmap. */
  refit() {
    if (this.#painter.outgrown) this.refresh()
  }

  /** Ends it: nothing is left to read where the page still has its element. */
  destroy() {
    cancelAnimationFrame(this.#frame)
    this.#end.abort()
    this.#parts.root.replaceChildren()
  }

  #listen() {
    const { root, header, error, warning, canvas } = this.#parts
    const { signal } = this.#end
    clamp(error, ERROR_LINES, signal)
    onPress(warning, () => {
      this.#said.unfolded = !this.#said.unfolded
      this.#header()
    }, signal)
    header.addEventListener('click', () => this.#toggle(), { signal })
    header.addEventListener('keydown', (event) => {
      // Else the page's own shortcuts hear Space and Enter too.
      if (event.key === ' ' || event.key === 'Enter') event.stopPropagation()
    }, { signal })
    canvas.addEventListener('pointermove', (event) => this.#point(event), { signal })
    canvas.addEventListener('pointerleave', () => this.#moveTo(null), { signal })
    canvas.addEventListener('blur', () => this.#moveTo(null), { signal })
    canvas.addEventListener('keydown', (event) => this.#key(event), { signal })
    const resized = new ResizeObserver(() => this.refit())
    resized.observe(root)
    const endTheme = watchTheme(() => {
      this.#header()
      this.refresh()
    })
    signal.addEventListener('abort', () => {
      resized.disconnect()
      endTheme()
    })
  }

  #toggle() {
    const open = !this.#open
    this.#onFold(open, () => this.fold(open))
  }

  /** @param {PointerEvent} event */
  #point(event) {
    const at = this.#painter.pointOf(event)
    if (at) this.#moveTo(cellAt(at.place, at.x, at.y))
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const count = this.#state?.plan.slots.length ?? 0
    const columns = this.#state?.decision.columns.count ?? 0
    if (event.ctrlKey || event.metaKey || event.altKey || !count) return
    const painted = this.#brush.key(event, this.#cursor)
    const folds = event.key === 'Enter' || event.key === ' '
    const cell = walked(event.key, this.#cursor, count, columns)
    if (!painted && !folds && cell === undefined) return
    event.preventDefault()
    event.stopPropagation()
    if (painted) return
    if (!folds) return this.#moveTo(cell ?? null)
    this.#parts.header.focus()
    this.#toggle()
  }

  /** @param {Cell | null} cell */
  #moveTo(cell) {
    const same = cell?.slot === this.#cursor?.slot && cell?.column === this.#cursor?.column
    if (same) return
    this.#cursor = cell
    this.#tell()
    this.#schedule()
  }

  /** What does not change with the cursor. */
  #header() {
    showHeader(this.#parts, this.#words, { ...this.#said, state: this.#state, open: this.#open })
    if (!this.#state) return
    showButtons(this.#parts, this.#state, this.#words)
    this.#brush.show(this.#state)
  }

  /** The two lines below the map, and the same for those who can't see it. */
  #tell() {
    if (!this.#state) return
    const { where, when, canvas } = this.#parts
    const { lines, told } = tell(this.#state, this.#cursor, this.#words, (cell) => this.#brush.told(cell))
    where.textContent = where.title = lines[0]
    when.textContent = when.title = lines[1]
    canvas.setAttribute('aria-label', told)
  }

  #schedule() {
    if (this.#frame) return
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0
      this.#draw()
    })
  }

  #draw() {
    const { root } = this.#parts
    if (!this.#state?.plan.slots.length || !this.#open) return
    const made = this.#painter.draw(this.#state, { current: this.#current, cursor: this.#cursor }, this.#words)
    if (made) root.dataset.draws = String(Number(root.dataset.draws ?? 0) + 1)
  }
}
