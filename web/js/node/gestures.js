// Zooming and panning over the map. Vue nodes pass these on by themselves; over the classic canvas an
// element swallows them.

const MIDDLE = 1
const MIDDLE_HELD = 4

/**
 * Hands wheel and middle-button gestures over `element` to the canvas until `signal` aborts.
 * @param {HTMLElement} element @param {any} app @param {AbortSignal} signal
 */
export function passGestures(element, app, signal) {
  const classic = () => element.closest('.dom-widget') !== null
  /** @param {string} kind @param {(event: any) => boolean} wanted @param {(event: any) => void} act */
  const pass = (kind, wanted, act) => {
    element.addEventListener(kind, (event) => classic() && wanted(event) && act(event), { signal, passive: false })
  }
  pass('wheel', () => true, (event) => {
    event.preventDefault()
    app.canvas.processMouseWheel(event)
  })
  pass('pointerdown', (event) => event.button === MIDDLE, (event) => app.canvas.processMouseDown(event))
  pass('pointermove', (event) => (event.buttons & MIDDLE_HELD) !== 0, (event) => app.canvas.processMouseMove(event))
  pass('pointerup', (event) => event.button === MIDDLE, (event) => app.canvas.processMouseUp(event))
}
