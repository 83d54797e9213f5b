// One live map on the page: what it shows, how it is folded, hovered and walked with the keyboard.
// Knows nothing of ComfyUI, nor of any method.

import { mean, sharesOf } from '../decision/decision.js'
import { Brush } from './brush.js'
import { build, clamp, showMends } from './dom.js'
import { walked } from './keys.js'
import { cellAt } from './canvas/layout.js'
import { Painter } from './painter.js'
import { coloursNow, isDark, watchTheme } from './canvas/theme.js'
import { leading, stripes, tell } from './telling.js'
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
  #onSet
  /** @type {State | null} */
  #state = null
  /** @type {Hint | null} */
  #hint = null
  #error = ''
  #missing = ''
  /** Whether all that is said is shown, not its first line alone. */
  #unfolded = false
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
    this.#onSet = onSet
    const { place } = this.#parts
    place.append(...[words.place, words.placeMore].map((text) => {
      const line = document.createElement('p')
      line.textContent = text
      return line
    }))
    const { signal } = this.#end
    this.#brush = new Brush({ parts: this.#parts, words, asked: painting, placeOf: () => this.#painter.place, signal })
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
    this.#hint = hint
    this.#header()
  }

  /** Says why the last run failed, or no longer where that is ''. @param {string} error */
  fail(error) {
    this.#error = error
    this.#header()
  }

  /** Says what did not work in the last run, or nothing where that is ''. @param {string} missing */
  miss(missing) {
    this.#missing = missing
    this.#header()
  }

  /** @param {Shown} shown */
  show(shown) {
    const { decision, plan } = shown
    this.#hint = shown.hint
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
    const { root, header, error, warning, canvas, even, mends } = this.#parts
    const { signal } = this.#end
    clamp(error, ERROR_LINES, signal)
    const unfold = () => {
      this.#unfolded = !this.#unfolded
      this.#header()
    }
    warning.addEventListener('click', unfold, { signal })
    warning.addEventListener('keydown', (event) => {
      if (event.key !== ' ' && event.key !== 'Enter') return
      event.preventDefault()
      event.stopPropagation()
      unfold()
    }, { signal })
    header.addEventListener('click', () => this.#toggle(), { signal })
    even.addEventListener('click', () => this.#state?.even && this.#onSet(this.#state.even), { signal })
    mends.addEventListener('click', ({ target }) => {
      const at = target instanceof HTMLElement ? [...mends.children].indexOf(target) : -1
      const mend = this.#state?.mends?.[at]
      if (mend) this.#onSet(mend)
    }, { signal })
    for (const buttons of [even, mends]) {
      buttons.addEventListener('keydown', (event) => event.stopPropagation(), { signal })
    }
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
    const { place } = this.#painter
    if (!place) return
    const box = this.#parts.canvas.getBoundingClientRect()
    const scale = place.width / box.width
    this.#moveTo(cellAt(place, (event.clientX - box.left) * scale, (event.clientY - box.top) * scale))
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const count = this.#state?.plan.slots.length ?? 0
    const columns = this.#state?.decision.columns.count ?? 0
    if (event.ctrlKey || event.metaKey || event.altKey || !count) return
    if (this.#brush.key(event, this.#cursor)) {
      event.preventDefault()
      event.stopPropagation()
      return
    }
    const folds = event.key === 'Enter' || event.key === ' '
    const cell = walked(event.key, this.#cursor, count, columns)
    if (!folds && cell === undefined) return
    event.preventDefault()
    event.stopPropagation()
    if (folds) {
      this.#parts.header.focus()
      this.#toggle()
    } else {
      this.#moveTo(cell ?? null)
    }
  }

  /** @param {Cell | null} cell */
  #moveTo(cell) {
    const same = cell?.slot === this.#cursor?.slot && cell?.column === this.#cursor?.column
    if (same) return
    this.#cursor = cell
    this.#tell()
    this.#schedule()
  }

  #header() {
    const { root, title, hint, error, header, warning } = this.#parts
    const said = [this.#missing, ...(this.#state?.plan.page.said ?? [])].filter(Boolean)
    const inside = this.#error ? this.#words.failed : said.length ? this.#words.warning : ''
    title.textContent = this.#words.title
    hint.textContent = this.#hint ? this.#words[this.#hint] : this.#open ? '' : inside
    header.title = hint.textContent
    error.textContent = error.title = this.#error
    const more = said.length > 1 ? ` (+${said.length - 1})` : ''
    warning.textContent = this.#unfolded ? said.join('\n') : said.length ? said[0] + more : ''
    warning.title = said.join('\n')
    warning.setAttribute('aria-expanded', String(this.#unfolded))
    root.toggleAttribute('data-empty', !this.#state)
    root.toggleAttribute('data-aside', this.#hint === 'muted' || this.#hint === 'bypassed')
    this.#colours()
  }

  /** What comes with the document: its colours, and what the first candidate holds. */
  #colours() {
    if (!this.#state) return
    const { root, bar, shareText } = this.#parts
    const { plan, shares } = this.#state
    const { candidates, background, text, muted, band } = coloursNow(plan)
    shareText.textContent = leading(this.#state, this.#words)
    bar.style.background = stripes(shares.map(mean), candidates, band)
    const hinted = { hint: candidates[0], 'hint-text': plan.page.palette.dark.background }
    for (const [name, colour] of Object.entries({ background, text, muted, band, ...hinted })) {
      root.style.setProperty(`--klora-${name}`, colour)
    }
  }

  /** The two lines below the map, and the same for those who can't see it. */
  #tell() {
    if (!this.#state) return
    const { where, when, canvas, even, mends } = this.#parts
    const { painting = null, plan } = this.#state
    this.#brush.show(painting, (plan.page.colours ?? []).map((pair) => pair[isDark() ? 0 : 1]))
    const { lines, told } = tell(this.#state, this.#cursor, this.#words, (cell) => this.#brush.told(cell))
    const half = this.#state.even
    even.textContent = half ? this.#words.even(half.label, half.value) : ''
    even.title = this.#words.evenMore
    showMends(mends, this.#state, this.#words)
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
