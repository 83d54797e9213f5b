// A run that one of the pack's nodes refused: its one sentence on the page, and on the node.
// The page's own message says no more than that a node threw an error.

const OURS = 'KLoraError'

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
