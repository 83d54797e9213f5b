// One live map on the page: what it shows, how it is folded, hovered and walked with the keyboard.
// Knows nothing of ComfyUI, nor of any method.

import { mean, sharesOf } from '../decision/decision.js'
import { build } from './dom.js'
import { drawMap, drawOverlay, fontOf } from './drawing.js'
import { walked } from './keys.js'
import { cellAt, layout } from './layout.js'
import { coloursNow, watchTheme } from './theme.js'
import { leading, stripes, tell } from './telling.js'
import { namesOf } from './words.js'

export const FOLDED_HEIGHT = 30
export const OPEN_HEIGHT = 300
const SHARPEST = 4

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
  #onEven
  /** @type {State | null} */
  #state = null
  /** @type {Hint | null} */
  #hint = null
  #error = ''
  /** Whether all that is said is shown, not its first line alone. */
  #unfolded = false
  /** @type {import('./layout.js').Place | null} */
  #place = null
  #base = document.createElement('canvas')
  #stale = true
  #frame = 0
  /** @type {Cell | null} */
  #cursor = null
  /** @type {number | null} */
  #current = null
  #open = true
  #end = new AbortController()

  /**
   * When the person folds or unfolds the map, `onFold(open, change)` is called and calls `change`; when they ask for
   * equal shares, `onEven` with the setting that gives them.
   * @param {{
   *   words: import('./words.js').Words, open: boolean, onFold: (open: boolean, change: () => void) => void,
   *   onEven?: (even: import('./telling.js').Even) => void
   * }} asked
   */
  constructor({ words, open, onFold, onEven = () => {} }) {
    this.#words = words
    this.#onFold = onFold
    this.#onEven = onEven
    const { place } = this.#parts
    place.append(...[words.place, words.placeMore].map((text) => {
      const line = document.createElement('p')
      line.textContent = text
      return line
    }))
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
    this.#stale = true
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
    this.#stale = true
    this.#schedule()
  }

  /** Draws again if size or zoom ask for another bitmap. */
  refit() {
    const { width, height } = this.#size()
    if (this.#place?.width !== width || this.#place?.height !== height) this.refresh()
  }

  destroy() {
    cancelAnimationFrame(this.#frame)
    this.#end.abort()
  }

  #listen() {
    const { root, header, warning, canvas, even } = this.#parts
    const { signal } = this.#end
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
    even.addEventListener('click', () => this.#state?.even && this.#onEven(this.#state.even), { signal })
    even.addEventListener('keydown', (event) => event.stopPropagation(), { signal })
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
    if (!this.#place) return
    const box = this.#parts.canvas.getBoundingClientRect()
    const scale = this.#place.width / box.width
    this.#moveTo(cellAt(this.#place, (event.clientX - box.left) * scale, (event.clientY - box.top) * scale))
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const count = this.#state?.plan.slots.length ?? 0
    const columns = this.#state?.decision.columns.count ?? 0
    if (event.ctrlKey || event.metaKey || event.altKey || !count) return
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
    const said = this.#state?.plan.page.said ?? []
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
    const { where, when, canvas, even } = this.#parts
    const { lines, told } = tell(this.#state, this.#cursor, this.#words)
    const half = this.#state.even
    even.textContent = half ? this.#words.even(half.label, half.value) : ''
    even.title = this.#words.evenMore
    where.textContent = lines[0]
    when.textContent = lines[1]
    canvas.setAttribute('aria-label', told)
  }

  #schedule() {
    if (this.#frame) return
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0
      this.#draw()
    })
  }

  /** Device pixels per CSS pixel, the graph's zoom included. */
  #density() {
    const { canvas } = this.#parts
    const zoom = canvas.offsetWidth ? canvas.getBoundingClientRect().width / canvas.offsetWidth : 1
    return Math.min(SHARPEST, Math.max(1, devicePixelRatio * zoom))
  }

  #size() {
    const { canvas } = this.#parts
    const k = this.#density()
    return { k, width: Math.round(canvas.offsetWidth * k), height: Math.round(canvas.offsetHeight * k) }
  }

  #draw() {
    const { canvas, root } = this.#parts
    if (!this.#state?.plan.slots.length || !this.#open || !canvas.offsetWidth || !canvas.offsetHeight) return
    const colours = coloursNow(this.#state.plan)
    if (this.#stale) {
      this.#rebuild(this.#state, colours)
      this.#stale = false
      root.dataset.draws = String(Number(root.dataset.draws ?? 0) + 1)
    }
    const ctx = canvas.getContext('2d')
    if (!ctx || !this.#place) return
    ctx.clearRect(0, 0, canvas.width, canvas.height)
    ctx.drawImage(this.#base, 0, 0)
    const last = this.#state.decision.columns.count - 1
    const current = this.#current === null ? null : Math.min(this.#current, last)
    drawOverlay(ctx, { place: this.#place, colours, current, cursor: this.#cursor })
  }

  /** @param {State} state @param {import('./theme.js').Colours} colours */
  #rebuild({ plan, decision, shares, names }, colours) {
    const { canvas } = this.#parts
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
    this.#place = layout({ slots: plan.slots, count: decision.columns.count, width, height, k, measure })
    const { step, x, shares: share } = this.#words
    const labels = { step, x, share, candidates: names }
    drawMap(ctx, { place: this.#place, decision, shares, colours, family, labels })
  }
}
