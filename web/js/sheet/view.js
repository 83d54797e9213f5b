// The sheet of a round on the page: its pictures, picked by mouse and keys, and its buttons.
// Knows nothing of ComfyUI.

import { sideBySide } from '../decision/sheet.js'
import { build, buildCell, buildWindow, element } from './dom.js'
import { keyFor, numberOf, walked } from './keys.js'
import { Large } from './large.js'
import { APART, GAP, fit } from './layout.js'
import { buttonsIn, heading, picturesIn } from './telling.js'

export const HEIGHT = 280

/**
 * @typedef {import('./telling.js').State} State
 * @typedef {import('./telling.js').Told} Told
 * @typedef {import('../decision/sheet.js').Picture} Picture
 * @typedef {{
 *   words: import('./words.js').Words, urlOf: (picture: Picture) => string, onToggle: (line: string) => void,
 *   onMore: (shows: boolean) => void, onTake: () => void, onStartOver: () => void
 * }} Asked
 */

export class SheetView {
  #asked
  #parts
  #large
  /** @type {ReturnType<typeof buildCell>[]} */
  #cells = []
  /** @type {Told[]} */
  #told = []
  #together = 1
  #columns = 1
  /** The picture that the keyboard is at. */
  #at = 0
  #shows = false
  /** Whether the keyboard was on a picture when it was last looked. */
  #had = false
  #window = buildWindow('klora-window')
  #end = new AbortController()

  /** @param {Asked} asked */
  constructor(asked) {
    this.#asked = asked
    this.#parts = build(asked.words)
    this.#large = new Large({
      words: asked.words,
      urlOf: ({ picture }) => (picture ? asked.urlOf(picture) : ''),
      onToggle: (told) => this.#toggle(told)
    })
    const { root, body } = this.#parts
    root.style.setProperty('--klora-height', `${HEIGHT}px`)
    body.style.setProperty('--klora-gap', `${GAP}px`)
    body.style.setProperty('--klora-apart', `${APART}px`)
    this.#listen()
  }

  get element() {
    return this.#parts.root
  }

  /** The picture that has the keyboard, or had it when the page took the sheet away; -1: it is elsewhere. */
  get held() {
    const { grid } = this.#parts
    const now = document.activeElement
    const lost = this.#had && !grid.isConnected && now === document.body
    return lost || grid.contains(now) ? this.#at : -1
  }

  /** Gives a picture the keyboard: whether it has it then. @param {number} at */
  hold(at) {
    if (this.#cells[at]) this.#moveTo(at)
    return this.held === at
  }

  /** @param {State} state */
  show(state) {
    const { words } = this.#asked
    const { body, title, status, hint, more, take, over } = this.#parts
    const { sheet } = state
    this.#told = picturesIn(state, words)
    const said = heading(state, words)
    title.textContent = said.title
    if (status.textContent !== said.status) status.textContent = said.status
    hint.textContent = hint.title = state.isOwn ? (sheet?.hint ?? '') : words.wired
    const can = buttonsIn(state, words)
    this.#shows = can.shows
    more.textContent = can.more
    this.#enable(more, can.canMore)
    this.#enable(take, can.canTake)
    this.#enable(over, can.canStartOver)
    body.toggleAttribute('data-empty', !sheet)
    body.toggleAttribute('data-aside', sheet !== null && !state.isNow && !sheet.coming)
    this.#draw()
    this.#large.show(this.#told)
  }

  /** Ends it: nothing is left to read where the page still has its element. */
  destroy() {
    this.#end.abort()
    this.#large.close()
    this.#window.remove()
    this.#parts.root.replaceChildren()
  }

  #listen() {
    const { root, body, grid, fill, more, take, over } = this.#parts
    const { onMore, onTake, onStartOver } = this.#asked
    const { signal } = this.#end
    more.addEventListener('click', () => onMore(this.#shows), { signal })
    take.addEventListener('click', () => onTake(), { signal })
    over.addEventListener('click', () => onStartOver(), { signal })
    fill.addEventListener('click', () => this.#fillWindow(), { signal })
    this.#window.addEventListener('close', () => {
      root.append(body)
      this.#window.remove()
      this.#arrange()
    }, { signal })
    grid.addEventListener('click', ({ target }) => this.#click(target), { signal })
    body.addEventListener('keydown', (event) => this.#key(event), { signal })
    grid.addEventListener('focusin', () => (this.#had = true), { signal })
    // A while later: what is taken off the page loses the keyboard first.
    grid.addEventListener('focusout', () => queueMicrotask(() => {
      if (grid.isConnected) this.#had = grid.contains(document.activeElement)
    }), { signal })
    const resized = new ResizeObserver(() => this.#arrange())
    resized.observe(grid)
    signal.addEventListener('abort', () => resized.disconnect())
  }

  #fillWindow() {
    if (this.#window.open) return this.#window.close()
    document.body.append(this.#window)
    this.#window.append(this.#parts.body)
    this.#window.showModal()
    this.#cells[this.#at]?.root.focus()
  }

  #draw() {
    const { grid } = this.#parts
    while (this.#cells.length > this.#told.length) this.#cells.pop()?.root.remove()
    while (this.#cells.length < this.#told.length) this.#cells.push(buildCell())
    this.#at = Math.max(0, Math.min(this.#at, this.#told.length - 1))
    this.#told.forEach((told, at) => this.#drawCell(this.#cells[at], told, at))
    const together = sideBySide(this.#told.map(({ picture }) => picture))
    const first = this.#told.find(({ picture }) => picture)?.picture
    const aspect = first ? first.width / first.height : 1
    grid.style.setProperty('--klora-aspect', String(aspect))
    this.#together = together
    this.#arrange()
  }

  /** @param {ReturnType<typeof buildCell>} cell @param {Told} told @param {number} at */
  #drawCell({ root, image, number, key, gone, rule, lens }, { picture, number: its, picked, can, rule: by }, at) {
    const { words, urlOf } = this.#asked
    const url = picture ? urlOf(picture) : ''
    // One that was not there may be there now.
    if (image.dataset.url !== url || root.hasAttribute('data-gone')) {
      image.dataset.url = url
      root.removeAttribute('data-gone')
      if (url) image.src = url
      else image.removeAttribute('src')
      // Late, it is of the picture before. By then more may have been picked.
      image.onerror = () => {
        if (!url || !image.complete) return
        root.setAttribute('data-gone', '')
        root.setAttribute('aria-label', this.#labelOf(at))
      }
    }
    gone.textContent = words.gone
    number.textContent = String(its)
    const itsKey = keyFor(its)
    key.textContent = itsKey === String(its) ? '' : itsKey
    rule.textContent = rule.title = by
    lens.title = words.large(its)
    lens.setAttribute('aria-label', lens.title)
    lens.hidden = !picture
    root.tabIndex = at === this.#at ? 0 : -1
    root.setAttribute('aria-selected', String(picked))
    root.setAttribute('aria-disabled', String(!can))
    root.setAttribute('aria-label', this.#labelOf(at))
    root.toggleAttribute('data-picked', picked)
    root.toggleAttribute('data-waits', !picture)
  }

  /** @param {number} at */
  #labelOf(at) {
    const label = this.#told[at]?.label ?? ''
    return this.#cells[at]?.root.hasAttribute('data-gone') ? `${label}, ${this.#asked.words.gone}` : label
  }

  /** The pictures in rows, as large as there is room for, those of the same noise side by side. */
  #arrange() {
    const { grid } = this.#parts
    const count = this.#cells.length
    const together = this.#together
    const aspect = Number(grid.style.getPropertyValue('--klora-aspect')) || 1
    const { size, columns } = fit({ count, together, width: grid.clientWidth, height: grid.clientHeight, aspect })
    grid.style.setProperty('--klora-size', `${size}px`)
    this.#columns = columns
    const shape = `${count}/${columns}/${together}`
    if (grid.dataset.shape === shape) return
    grid.dataset.shape = shape
    const held = grid.contains(document.activeElement) ? document.activeElement : null
    const rows = []
    for (let from = 0; from < count; from += columns) {
      const row = element('div', 'klora-row')
      row.setAttribute('role', 'row')
      for (let at = from; at < Math.min(count, from + columns); at += together) {
        const group = element('div', together > 1 ? 'klora-group' : 'klora-alone')
        group.setAttribute('role', 'presentation')
        group.append(...this.#cells.slice(at, at + together).map(({ root }) => root))
        row.append(group)
      }
      rows.push(row)
    }
    grid.replaceChildren(...rows)
    if (held instanceof HTMLElement) held.focus()
  }

  /** @param {EventTarget | null} target */
  #click(target) {
    const cell = target instanceof Element ? target.closest('.klora-cell') : null
    const at = this.#cells.findIndex(({ root }) => root === cell)
    if (at < 0 || !(target instanceof Element)) return
    this.#moveTo(at)
    if (target.closest('.klora-lens')) this.#enlarge()
    else this.#toggle(this.#told[at])
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { key, target } = event
    // Over the page its own shortcuts hear nothing, but undo.
    if (event.ctrlKey || event.metaKey || event.altKey) return
    if (this.#window.open || key === ' ' || key === 'Enter') event.stopPropagation()
    if (!this.#told.length) return
    const to = walked(key, this.#at, this.#told.length, this.#columns)
    const presses = key === ' ' || key === 'Enter'
    const number = numberOf(key)
    const isLarge = key === '+' || key === '='
    if (to === undefined && !presses && !number && !isLarge) return
    // A button inside does what it says.
    if (presses && target instanceof HTMLButtonElement) return
    event.preventDefault()
    event.stopPropagation()
    if (to !== undefined) this.#moveTo(to)
    else if (isLarge) this.#enlarge()
    else if (presses) this.#toggle(this.#told[this.#at])
    else {
      const at = this.#told.findIndex((one) => one.number === number)
      if (at < 0) return
      this.#moveTo(at)
      this.#toggle(this.#told[at])
    }
  }

  /** The keyboard stays on the sheet. @param {HTMLButtonElement} button @param {boolean} can */
  #enable(button, can) {
    if (!can && document.activeElement === button) this.#cells[this.#at]?.root.focus()
    button.disabled = !can
  }

  #enlarge() {
    this.#large.open(this.#told, this.#at, () => this.#moveTo(this.#large.at))
  }

  /** @param {number} at */
  #moveTo(at) {
    this.#cells.forEach(({ root }, i) => (root.tabIndex = i === at ? 0 : -1))
    this.#at = at
    this.#cells[at]?.root.focus()
  }

  /** @param {Told} told */
  #toggle({ picture, can }) {
    if (picture && can) this.#asked.onToggle(picture.line)
  }
}
