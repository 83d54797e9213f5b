// A line on a node that has no map to say it.

import { takePlace } from './place.js'

/** @typedef {{ name: string, height: number, role: string, background: string, margin?: number }} Kind */

/** Why the last run failed at the node. @type {Kind} */
export const ERROR = { name: 'klora_error', height: 76, role: 'alert', background: '#b3261e' }
/** What would go wrong. @type {Kind} */
export const HINT = { name: 'klora_hint', height: 60, role: 'status', background: '#8a5a00' }

/** Puts a line on a node, or takes it off where `text` is ''. @param {any} node @param {Kind} kind @param {string} text */
export function sayOn(node, kind, text) {
  putOn(node, kind, text && ((element) => { element.textContent = element.title = text }))
}

/**
 * Puts a line on a node that `fill` fills, or takes it off where there is none.
 * @param {any} node @param {Kind} kind @param {((element: HTMLElement) => void) | null | ''} fill
 */
export function putOn(node, { name, height, role, background, margin }, fill) {
  const old = node.widgets?.find((/** @type {any} */ widget) => widget.name === name)
  if (old && fill) fill(old.element)
  if (old && !fill) takeOff(node, old)
  if (old || !fill) return
  const element = document.createElement('div')
  element.className = 'klora-line'
  element.setAttribute('role', role)
  fill(element)
  Object.assign(element.style, {
    boxSizing: 'border-box', overflow: 'auto', overflowWrap: 'anywhere', padding: '4px 8px', borderRadius: '5px', background,
    color: '#fff', font: '11px/1.35 Inter, system-ui, sans-serif'
  })
  const before = node.size[1]
  const options = { serialize: false, hideOnZoom: false, getMinHeight: () => height, getMaxHeight: () => height, margin }
  const widget = node.addDOMWidget(name, name, element, { ...options, getValue: () => '', setValue: () => {} })
  Object.assign(widget, { serialize: false, klora_height: before })
  requestAnimationFrame(() => takePlace(element, node, name))
}

/** A line goes, and the node is as high as it was without it. @param {any} node @param {any} widget */
function takeOff(node, widget) {
  const place = node.widgets.indexOf(widget)
  const later = node.widgets.slice(place + 1).filter((/** @type {any} */ one) => one.klora_height !== undefined)
  node.removeWidget(widget)
  if (!later.length) return node.setSize([node.size[0], widget.klora_height])
  // What was put on after it was put on a higher node.
  const grown = later[0].klora_height - widget.klora_height
  for (const one of later) one.klora_height -= grown
  node.setSize([node.size[0], node.size[1] - grown])
}
