// The elements of a sheet and of one picture on it, without behaviour.

const SVG = 'http://www.w3.org/2000/svg'
const STYLESHEET = new URL('../../css/sheet.css', import.meta.url).href
const LENS = 'M6.5 11a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM10 10l4 4M6.5 4.5v4M4.5 6.5h4'
const FILL = 'M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4'

/** @param {import('./words.js').Words} words */
export function build(words) {
  const root = element('div', 'klora-sheet')
  // All but the style: it goes into a window of its own where it fills the page's.
  const body = element('div', 'klora-sheet-body')
  const head = element('div', 'klora-head')
  const title = element('span', 'klora-title')
  const status = element('span', 'klora-status')
  status.setAttribute('role', 'status')
  const fill = button('klora-fill', words.fill, icon(FILL))
  head.append(title, status, fill)

  const hint = element('div', 'klora-hint')
  hint.setAttribute('role', 'status')
  const place = element('div', 'klora-place')
  place.append(...[words.place, words.placeMore].map((text) => {
    const line = element('p')
    line.textContent = text
    return line
  }))
  const grid = element('div', 'klora-grid')
  grid.setAttribute('role', 'grid')
  grid.setAttribute('aria-multiselectable', 'true')
  grid.setAttribute('aria-label', `${words.sheet}. ${words.keys}`)

  const buttons = element('div', 'klora-buttons')
  const [more, take, over] = ['klora-more', 'klora-take', 'klora-over'].map((name) => button(name))
  more.title = words.moreTold
  take.title = words.takeTold
  over.title = words.overTold
  take.textContent = words.take
  over.textContent = words.over
  buttons.append(more, take, over)
  body.append(head, hint, place, grid, buttons)
  root.append(stylesheet(), body)
  return { root, body, title, status, fill, hint, place, grid, more, take, over }
}

/** The place of one picture. */
export function buildCell() {
  const root = element('div', 'klora-cell')
  root.setAttribute('role', 'gridcell')
  root.tabIndex = -1
  const image = element('img')
  image.alt = ''
  image.decoding = 'async'
  // Dropped on the canvas it would open a workflow.
  image.draggable = false
  const number = element('span', 'klora-number')
  const key = element('kbd')
  const gone = element('span', 'klora-gone')
  const rule = element('span', 'klora-rule')
  const lens = button('klora-lens', '', icon(LENS))
  lens.tabIndex = -1
  for (const seen of [number, key, gone, rule]) seen.setAttribute('aria-hidden', 'true')
  root.append(image, gone, number, key, rule, lens)
  return { root, image, number, key, gone, rule, lens }
}

/** A window over the page, with the style of the sheet. @param {string} className */
export function buildWindow(className) {
  const dialog = element('dialog', className)
  dialog.append(stylesheet())
  return dialog
}

/** @template {keyof HTMLElementTagNameMap} Tag @param {Tag} tag @param {string} [className] */
export function element(tag, className = '') {
  const made = document.createElement(tag)
  made.className = className
  return made
}

/** @param {string} className @param {string} [label] @param {Node} [content] */
export function button(className, label = '', content) {
  const made = element('button', className)
  made.type = 'button'
  if (label) made.title = label
  if (label) made.setAttribute('aria-label', label)
  if (content) made.append(content)
  return made
}

/** @param {string} d */
function icon(d) {
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('viewBox', '0 0 16 16')
  svg.setAttribute('aria-hidden', 'true')
  const path = document.createElementNS(SVG, 'path')
  path.setAttribute('d', d)
  svg.append(path)
  return svg
}

// In the widget's own root: the page is shared with other packs.
function stylesheet() {
  const link = element('link')
  link.rel = 'stylesheet'
  link.href = STYLESHEET
  return link
}
