// A run that one of the pack's nodes refused: its one sentence on the page, and on the node.
// The page's own message says no more than that a node threw an error.

const OURS = 'KLoraError'
const TOAST = 'klora-toast'
/** The page's own notices, at the place where the page of before 1.58 shows toasts. */
const NOTICES = '[data-testid="error-overlay"], [data-testid="queue-notification-banner"]'
const GAP = 8
const LOOKS = 300

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
  #timer = 0

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
      const message = { severity: 'error', summary, detail, styleClass: TOAST }
      toast?.add?.(message)
      this.#shown.push(() => toast?.remove?.(message))
      this.#timer ||= window.setInterval(() => this.#makeRoom(), LOOKS)
    }
  }

  clear() {
    for (const takeAway of this.#shown) takeAway()
    this.#shown = []
    clearInterval(this.#timer)
    this.#timer = 0
  }

  /** The first of ours goes below what the page itself says there, the others follow it. */
  #makeRoom() {
    const [first] = document.getElementsByClassName(TOAST)
    if (!(first instanceof HTMLElement)) return
    const bottoms = [...document.querySelectorAll(NOTICES)].map((notice) => notice.getBoundingClientRect().bottom)
    const top = first.getBoundingClientRect().top - (parseFloat(first.style.marginTop) || 0)
    first.style.marginTop = `${Math.max(0, Math.max(0, ...bottoms) + GAP - top)}px`
  }
}
