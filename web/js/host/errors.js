// A run that one of the pack's nodes refused: its one sentence on the page, and on the node.
// The page's own message says no more than that a node threw an error.

const OURS = 'KLoraError'
const LINE = 'klora_error'

/** The sentence of an error of this pack, or null. @param {any} error */
export function sentenceOf(error) {
  const kind = String(error?.exception_type ?? '').split('.').at(-1)
  return kind === OURS ? String(error.exception_message).split('\n', 1)[0].trim() : null
}

/** Shows errors as toasts until the next run begins. */
export class Toasts {
  #app
  /** @type {(() => void)[]} */
  #shown = []

  /** @param {any} app */
  constructor(app) {
    this.#app = app
  }

  /** @param {string} summary @param {string} detail */
  show(summary, detail) {
    const toast = this.#app.extensionManager?.toast
    if (toast?.dismiss) {
      // Since 1.58: what `add` shows there can't be taken away.
      const id = toast.error(summary, { description: detail })
      this.#shown.push(() => toast.dismiss(id))
    } else {
      const message = { severity: 'error', summary, detail }
      toast?.add?.(message)
      this.#shown.push(() => toast?.remove?.(message))
    }
  }

  clear() {
    for (const takeAway of this.#shown) takeAway()
    this.#shown = []
  }
}

/** Puts a line on a node that has no map to say it, or takes it off where `text` is ''. @param {any} node @param {string} text */
export function sayOn(node, text) {
  const old = node.widgets?.find((/** @type {any} */ widget) => widget.name === LINE)
  if (!old && !text) return
  if (old) {
    node.removeWidget(old)
    node.setSize([node.size[0], old.klora_height])
  }
  if (!text) return
  const element = document.createElement('div')
  element.className = 'klora-line'
  element.setAttribute('role', 'alert')
  element.textContent = element.title = text
  Object.assign(element.style, {
    boxSizing: 'border-box', overflow: 'hidden', padding: '4px 8px', borderRadius: '5px', background: '#b3261e',
    color: '#fff', font: '11px/1.35 Inter, system-ui, sans-serif'
  })
  const height = node.size[1]
  const options = { serialize: false, hideOnZoom: false, getMinHeight: () => 76, getMaxHeight: () => 76 }
  const widget = node.addDOMWidget(LINE, LINE, element, { ...options, getValue: () => '', setValue: () => {} })
  Object.assign(widget, { serialize: false, klora_height: height })
}
