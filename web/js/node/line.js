// A line of text on a node that has no map to say it.

import { clamp } from '../view/dom.js'
import { takePlace } from './place.js'

/** @typedef {{ name: string, height: number, lines: number, role: string, background: string }} Kind */

/** Why the last run failed at the node. @type {Kind} */
export const ERROR = { name: 'klora_error', height: 76, lines: 3, role: 'alert', background: '#b3261e' }
/** What would go wrong. @type {Kind} */
export const HINT = { name: 'klora_hint', height: 60, lines: 2, role: 'status', background: '#8a5a00' }

/** Puts a line on a node, or takes it off where `text` is ''. @param {any} node @param {Kind} kind @param {string} text */
export function sayOn(node, { name, height, lines, role, background }, text) {
  const old = node.widgets?.find((/** @type {any} */ widget) => widget.name === name)
  if (old) old.element.firstChild.textContent = old.element.title = text
  if (old && !text) {
    node.removeWidget(old)
    node.setSize([node.size[0], old.klora_height])
  }
  if (old || !text) return
  const element = document.createElement('div')
  element.className = 'klora-line'
  element.setAttribute('role', role)
  const words = element.appendChild(document.createElement('div'))
  words.textContent = element.title = text
  Object.assign(words.style, { display: '-webkit-box', overflow: 'hidden' })
  clamp(words, lines)
  Object.assign(element.style, {
    boxSizing: 'border-box', overflow: 'auto', overflowWrap: 'anywhere', padding: '4px 8px', borderRadius: '5px', background,
    color: '#fff', font: '11px/1.35 Inter, system-ui, sans-serif'
  })
  const before = node.size[1]
  const options = { serialize: false, hideOnZoom: false, getMinHeight: () => height, getMaxHeight: () => height }
  const widget = node.addDOMWidget(name, name, element, { ...options, getValue: () => '', setValue: () => {} })
  Object.assign(widget, { serialize: false, klora_height: before })
  requestAnimationFrame(() => takePlace(element, node, name))
}
