// One live map on the page: what it shows, how it is folded, hovered and walked with the keyboard.
// Knows nothing of ComfyUI.

import { build } from './dom.js'
import { drawMap, drawOverlay, fontOf } from './drawing.js'
import { cellAt, layout } from './layout.js'
import { STYLE, runs } from './maths.js'
import { coloursNow, watchTheme } from './theme.js'
import { formulaOf, number, rhoOf, whenOf, whereOf } from './words.js'

export const FOLDED_HEIGHT = 30
export const OPEN_HEIGHT = 350
const SHARPEST = 4
const PAGE = 10

export class MapView {
  #parts = build()
  #words
  #onFold
  #state = null
  #place = null
  #base = document.createElement('canvas')
  #stale = true
  #frame = 0
  #cursor = null
  #current = null
  #open = true
  #end = new AbortController()

  /** When the person folds or unfolds the map, `onFold(open, change)` is called and calls `change`. */
  constructor({ words, open, onFold }) {
    this.#words = words
    this.#onFold = onFold
    this.#listen()
    this.fold(open)
  }

  get element() {
    return this.#parts.root
  }

  get open() {
    return this.#open
  }

  /**
   * Shows a decision: { plan, decision, hint, byProgress }. `hint` names the word that says why no run has
   * used it yet, or is null; with `byProgress` columns are progress rather than steps.
   */
  show(state) {
    this.#state = state
    const { decision, plan } = state
    if (this.#cursor) {
      const slot = Math.min(this.#cursor.slot, plan.slots.length - 1)
      this.#cursor = slot < 0 ? null : { slot, step: Math.min(this.#cursor.step, decision.steps - 1) }
    }
    this.#stale = true
    this.#header()
    this.#tell()
    this.#schedule()
  }

  /** Marks the step that the sampler is in, from 0; null for none. */
  mark(step) {
    if (step === this.#current) return
    this.#current = step
    if (step === null) delete this.#parts.root.dataset.step
    else this.#parts.root.dataset.step = String(step + 1)
    this.#schedule()
  }

  fold(open) {
    this.#open = open
    const { root, header } = this.#parts
    root.toggleAttribute('data-open', open)
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
    const { root, header, canvas } = this.#parts
    const { signal } = this.#end
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
    const endTheme = watchTheme(() => this.#state && (this.#header(), this.refresh()))
    signal.addEventListener('abort', () => (resized.disconnect(), endTheme()))
  }

  #toggle() {
    const open = !this.#open
    this.#onFold(open, () => this.fold(open))
  }

  #point(event) {
    if (!this.#place) return
    const scale = this.#place.width / this.#parts.canvas.getBoundingClientRect().width
    const box = this.#parts.canvas.getBoundingClientRect()
    this.#moveTo(cellAt(this.#place, (event.clientX - box.left) * scale, (event.clientY - box.top) * scale))
  }

  #key(event) {
    const count = this.#state?.plan.slots.length ?? 0
    const steps = this.#state?.decision.steps ?? 0
    if (event.ctrlKey || event.metaKey || event.altKey || !count) return
    const { slot, step } = this.#cursor ?? { slot: -1, step: -1 }
    const to = (s, t) =>
      this.#moveTo({ slot: Math.min(count - 1, Math.max(0, s)), step: Math.min(steps - 1, Math.max(0, t)) })
    const moves = {
      ArrowDown: () => to(slot + 1, step),
      ArrowUp: () => to(slot - 1, step),
      ArrowRight: () => to(slot, step + 1),
      ArrowLeft: () => to(slot, step - 1),
      PageDown: () => to(slot + PAGE, step),
      PageUp: () => to(slot - PAGE, step),
      Home: () => to(slot, 0),
      End: () => to(slot, steps - 1),
      Escape: () => this.#moveTo(null),
      Enter: () => (this.#parts.header.focus(), this.#toggle()),
      ' ': () => (this.#parts.header.focus(), this.#toggle())
    }
    const move = moves[event.key]
    if (!move) return
    event.preventDefault()
    event.stopPropagation()
    move()
  }

  #moveTo(cell) {
    const same = cell?.slot === this.#cursor?.slot && cell?.step === this.#cursor?.step
    if (same) return
    this.#cursor = cell
    this.#tell()
    this.#schedule()
  }

  #header() {
    const { decision, hint: why } = this.#state
    const { title, hint, bar, shareText, header } = this.#parts
    const colours = coloursNow()
    const mean = decision.shares.reduce((sum, share) => sum + share, 0) / decision.steps
    const subject = Math.round((1 - mean) * 100)
    title.textContent = this.#words.title
    hint.textContent = why ? this.#words[why] : ''
    shareText.textContent = this.#words.share(this.#words.subject, subject)
    bar.style.background = `linear-gradient(to right, ${colours.subject} ${subject}%, ${colours.style} ${subject}%)`
    header.title = hint.textContent
  }

  /** The two lines below the map, and the same for those who can't see it. */
  #tell() {
    if (!this.#state) return
    const { where, when, canvas } = this.#parts
    const { plan, decision } = this.#state
    const words = this.#words
    const mean = decision.shares.reduce((sum, share) => sum + share, 0) / decision.steps
    const summary = words.summary(plan.slots.length, decision.steps, Math.round((1 - mean) * 100))
    let lines = [formulaOf(decision.schedule), this.#facts()]
    if (!plan.slots.length) lines = ['', words.empty]
    else if (this.#cursor) lines = this.#cell(this.#cursor)
    where.textContent = lines[0]
    when.textContent = lines[1]
    const told = this.#cursor ? lines.join('. ') : `${summary} ${words.keys}`
    canvas.setAttribute('aria-label', `${words.map}. ${told}`)
  }

  #facts() {
    const { plan, decision, byProgress } = this.#state
    const { gamma, gammaMode, steps } = decision
    const count = plan.slots.length
    return byProgress
      ? this.#words.factsProgress(count, number(gamma), gammaMode)
      : this.#words.facts(count, steps, number(gamma), gammaMode)
  }

  #cell({ slot, step }) {
    const { plan, decision, byProgress } = this.#state
    const words = this.#words
    const [block, name] = whereOf(plan.slots[slot])
    const found = runs(decision.choices, slot, decision.steps)
    const parts = [rhoOf(decision.rho[slot], words), whenOf(found, decision.steps, byProgress, words)]
    if (found.length === 2 && !byProgress) {
      const now = decision.choices[slot * decision.steps + step] === STYLE ? words.style : words.subject
      parts.push(`${words.atStep(step + 1)}: ${now}`)
    }
    return [`${block} · ${name}`, parts.join(' · ')]
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
    const colours = coloursNow()
    if (this.#stale) {
      this.#rebuild(colours)
      this.#stale = false
      root.dataset.draws = String(Number(root.dataset.draws ?? 0) + 1)
    }
    const ctx = canvas.getContext('2d')
    ctx.clearRect(0, 0, canvas.width, canvas.height)
    ctx.drawImage(this.#base, 0, 0)
    const { steps } = this.#state.decision
    const current = this.#current === null || this.#state.byProgress ? null : Math.min(this.#current, steps - 1)
    drawOverlay(ctx, { place: this.#place, colours, current, cursor: this.#cursor })
  }

  #rebuild(colours) {
    const { canvas } = this.#parts
    const { plan, decision, byProgress } = this.#state
    const { k, width, height } = this.#size()
    for (const target of [canvas, this.#base]) {
      if (target.width !== width) target.width = width
      if (target.height !== height) target.height = height
    }
    const ctx = this.#base.getContext('2d')
    const family = getComputedStyle(canvas).fontFamily
    ctx.font = fontOf(k, family)
    const measure = (text) => ctx.measureText(text).width
    this.#place = layout({ slots: plan.slots, steps: decision.steps, width, height, k, measure })
    drawMap(ctx, { place: this.#place, decision, colours, family, words: this.#words, byProgress })
  }
}
