// The elements of the live map; of their behaviour only how a long text folds, and how they are pressed.

import { MOST } from '../decision/when.js'

const SVG = 'http://www.w3.org/2000/svg'
const STYLESHEET = new URL('../../css/live_map.css', import.meta.url).href

/** The elements of one map, by role. */
export function build() {
  const root = element('div', 'klora-map')
  const header = element('button')
  header.type = 'button'
  const title = element('span', 'klora-title')
  const hint = element('span', 'klora-hint')
  const share = element('span', 'klora-share')
  const bar = element('span', 'klora-bar')
  const shareText = element('span')
  share.append(bar, shareText)
  header.append(chevron(), title, hint, share)

  const warning = element('div', 'klora-warning')
  warning.setAttribute('role', 'button')
  warning.tabIndex = 0

  const error = element('div', 'klora-error')
  error.setAttribute('role', 'alert')

  const place = element('div', 'klora-place')

  const canvas = element('canvas')
  canvas.tabIndex = 0
  canvas.setAttribute('role', 'application')
  const status = element('div', 'klora-status')
  status.setAttribute('aria-live', 'polite')
  const where = element('div', 'klora-where')
  const when = element('div', 'klora-when')
  const even = element('button', 'klora-even')
  even.type = 'button'
  const mends = element('span', 'klora-mends')
  const buttons = element('p', 'klora-buttons')
  const brushes = element('span', 'klora-brushes')
  const strength = element('input', 'klora-strength')
  Object.assign(strength, { type: 'number', min: -MOST, max: MOST, step: '0.1', value: '0', hidden: true })
  buttons.append(even, mends, brushes, strength)
  status.append(where, when, buttons)
  root.append(stylesheet(), header, error, warning, place, canvas, status)
  return { root, header, title, hint, bar, shareText, error, warning, place, canvas, where, when, even, mends, brushes, strength }
}

/** @param {HTMLElement} place @param {string[]} texts a paragraph each */
export function sayIn(place, texts) {
  for (const text of texts) place.appendChild(element('p')).textContent = text
}

/**
 * A button in `place` for each of `asked`, as many as there are; those that are there keep the focus.
 * @param {HTMLElement} place @param {unknown[]} asked @returns {HTMLButtonElement[]}
 */
export function buttonsIn(place, asked) {
  while (place.children.length > asked.length) place.lastChild?.remove()
  while (place.children.length < asked.length) place.append(Object.assign(element('button'), { type: 'button' }))
  return /** @type {HTMLButtonElement[]} */ ([...place.children])
}

/**
 * Calls `act` when an element that is no button is pressed, by the mouse or by keys that the page would hear too.
 * @param {HTMLElement} element @param {() => void} act @param {AbortSignal} [signal]
 */
export function onPress(element, act, signal) {
  element.addEventListener('click', act, { signal })
  element.addEventListener('keydown', (event) => {
    if (event.key !== ' ' && event.key !== 'Enter') return
    event.preventDefault()
    event.stopPropagation()
    act()
  }, { signal })
}

/**
 * Shows the first lines of a text, and all of it after a click: names and numbers come last.
 * @param {HTMLElement} element @param {number} lines @param {AbortSignal} [signal] until which it can be clicked
 */
export function clamp(element, lines, signal) {
  Object.assign(element.style, { webkitBoxOrient: 'vertical', cursor: 'pointer' })
  element.tabIndex = 0
  const set = (/** @type {boolean} */ open) => {
    element.style.webkitLineClamp = open ? 'unset' : String(lines)
    element.setAttribute('aria-expanded', String(open))
  }
  onPress(element, () => set(element.getAttribute('aria-expanded') !== 'true'), signal)
  set(false)
}

/** @template {keyof HTMLElementTagNameMap} Tag @param {Tag} tag @param {string} [className] */
function element(tag, className = '') {
  const made = document.createElement(tag)
  made.className = className
  return made
}

function chevron() {
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('class', 'klora-chevron')
  svg.setAttribute('viewBox', '0 0 8 8')
  svg.setAttribute('aria-hidden', 'true')
  const path = document.createElementNS(SVG, 'path')
  path.setAttribute('d', 'M1 2.5 4 5.5 7 2.5')
  svg.append(path)
  return svg
}

// In the widget's own root: the page is shared with other packs.
function stylesheet() {
  const link = document.createElement('link')
  link.rel = 'stylesheet'
  link.href = STYLESHEET
  return link
}
