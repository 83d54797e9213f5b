// One picture large, over the page; beside it those of the same noise.

import { button, buildWindow, element } from './dom.js'
import { numberOf, walked } from './keys.js'

/**
 * @typedef {import('./telling.js').Told} Told
 * @typedef {{ words: import('./words.js').Words, urlOf: (told: Told) => string, onToggle: (told: Told) => void }} Asked
 */

export class Large {
  #asked
  #dialog = buildWindow('klora-large')
  #figures = element('div', 'klora-figures')
  /** @type {Told[]} */
  #told = []
  #at = 0
  #onClose = () => {}

  /** @param {Asked} asked */
  constructor(asked) {
    this.#asked = asked
    const { words } = asked
    this.#dialog.tabIndex = -1
    const buttons = element('div', 'klora-buttons')
    const ways = /** @type {[string, string, () => void][]} */ ([
      ['‹', words.before, () => this.#walk('ArrowLeft')],
      ['›', words.after, () => this.#walk('ArrowRight')],
      ['×', words.back, () => this.#dialog.close()]
    ])
    for (const [sign, label, act] of ways) {
      const one = button('klora-way', label)
      one.textContent = sign
      one.addEventListener('click', act)
      buttons.append(one)
    }
    this.#dialog.append(this.#figures, buttons)
    this.#dialog.addEventListener('keydown', (event) => this.#key(event))
    this.#dialog.addEventListener('click', ({ target }) => target === this.#dialog && this.#dialog.close())
    this.#dialog.addEventListener('close', () => {
      this.#dialog.remove()
      this.#onClose()
    })
  }

  get at() {
    return this.#at
  }

  /** @param {Told[]} told @param {number} at @param {() => void} onClose */
  open(told, at, onClose) {
    if (!told[at]?.picture) return
    this.#onClose = onClose
    document.body.append(this.#dialog)
    this.#at = at
    this.show(told)
    this.#dialog.showModal()
    this.#dialog.focus()
  }

  /** The pictures have changed. @param {Told[]} told */
  show(told) {
    this.#told = told
    if (!this.#dialog.isConnected) return
    if (!told[this.#at]?.picture) this.#dialog.close()
    else this.#draw()
  }

  close() {
    if (this.#dialog.open) this.#dialog.close()
    this.#dialog.remove()
  }

  #draw() {
    const { words, urlOf, onToggle } = this.#asked
    const now = this.#told[this.#at]
    const group = now.picture?.group
    const alike = group ? this.#told.filter(({ picture }) => picture?.group === group) : [now]
    const { width, height } = now.picture ?? { width: 1, height: 1 }
    this.#dialog.setAttribute('aria-label', now.label)
    this.#figures.style.setProperty('--klora-count', String(alike.length))
    this.#figures.style.setProperty('--klora-aspect', String(width / height))
    this.#figures.replaceChildren(...alike.map((one) => {
      const figure = element('figure')
      figure.toggleAttribute('data-picked', one.picked)
      figure.toggleAttribute('data-now', one === now && alike.length > 1)
      const image = element('img')
      image.alt = one.label
      image.src = urlOf(one)
      image.draggable = false
      const caption = element('figcaption')
      const pick = button('klora-pick', words.pickIt(one.number))
      pick.textContent = one.picked ? `✓ ${words.isPicked}` : words.pickIt(one.number)
      pick.setAttribute('aria-pressed', String(one.picked))
      pick.disabled = !one.can
      pick.addEventListener('click', () => onToggle(one))
      const rule = element('span', 'klora-rule')
      rule.textContent = one.rule
      caption.append(pick, rule)
      figure.append(image, caption)
      return figure
    }))
    // The button that had the keyboard is another one now.
    if (!this.#dialog.contains(document.activeElement)) this.#dialog.focus()
  }

  /** @param {string} key */
  #walk(key) {
    let at = this.#at
    // Over what is not there yet.
    for (let left = this.#told.length; left; left--) {
      at = walked(key, at, this.#told.length, 1) ?? at
      if (this.#told[at].picture) break
    }
    if (!this.#told[at].picture) return
    this.#at = at
    this.#draw()
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    // The page's own shortcuts hear nothing of it; Escape closes by itself.
    event.stopPropagation()
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const { key, target } = event
    const presses = target instanceof HTMLButtonElement && (key === 'Enter' || key === ' ')
    if (presses || key === 'Escape' || key === 'Tab') return
    const isNow = key === 'Enter' || key === ' '
    const picked = isNow ? this.#told[this.#at] : this.#told.find(({ number }) => number === numberOf(key))
    if (picked) this.#asked.onToggle(picked)
    else if (key === '-' || key === '+') this.#dialog.close()
    else if (walked(key, 0, 1, 1) !== undefined) this.#walk(key)
    else return
    event.preventDefault()
  }
}
