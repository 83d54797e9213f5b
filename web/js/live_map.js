// The live map of one K-LoRA Fuse node: joins the node's widgets and runs to what the view shows.

import { passGestures } from './gestures.js'
import { loadsFilesOf, locatorOf, modelReach, stepsSet } from './graph.js'
import { DEFAULT_STEPS, decide, sameSettings, settingsOf } from './maths.js'
import { NodeRoom } from './node_room.js'
import { readSettings, watchWidgets } from './settings.js'
import { FOLDED_HEIGHT, MapView, OPEN_HEIGHT } from './view.js'

const WIDGET = 'klora_map'

export class LiveMap {
  #app
  #node
  #words
  #view = null
  #room
  #plan = null
  #watched = new WeakSet()
  #seen = ''
  #frame = 0
  #run = null
  #end = new AbortController()

  constructor(app, node, words) {
    this.#app = app
    this.#node = node
    this.#words = words
    this.#room = new NodeRoom(app, node)
  }

  get hasPlan() {
    return this.#plan !== null
  }

  get locator() {
    return this.#node.graph ? locatorOf(this.#node, this.#app.rootGraph) : null
  }

  /** What a run decided; the map appears with the first plan. */
  receive(plan) {
    this.#plan = plan
    this.#seen = ''
    if (!this.#view) this.#attach()
    this.update()
  }

  /** What an earlier run decided, if this node still stands for it. */
  recall(plan) {
    if (loadsFilesOf(this.#node, plan)) this.receive(plan)
    else this.release()
  }

  /** No plan is to be had: gives back the room that a saved workflow kept for the map. */
  release() {
    if (!this.#view) this.#room.giveBack()
  }

  /** Looks at the node's widgets and the graph on the next frame, and draws if anything has changed. */
  update() {
    if (!this.#view || this.#frame) return
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0
      this.#show()
    })
  }

  /** Whether a node takes the model that this node fused. */
  feeds(node) {
    return this.hasPlan && modelReach(this.#node, this.#app.rootGraph).has(node)
  }

  /** A sampler fed by this node is at `step` (from 0) of `steps`. */
  sampling(step, steps) {
    const set = stepsSet(modelReach(this.#node, this.#app.rootGraph))
    if (this.#run?.steps !== steps || this.#run.set !== set) {
      this.#run = { steps, set }
      this.update()
    }
    this.#view?.mark(step)
  }

  sampled() {
    this.#view?.mark(null)
  }

  refit() {
    this.#view?.refit()
  }

  destroy() {
    cancelAnimationFrame(this.#frame)
    this.#end.abort()
    this.#view?.destroy()
    this.#view = null
  }

  #attach() {
    const node = this.#node
    this.#view = new MapView({ words: this.#words, open: this.#room.open, onFold: (open, change) => this.#room.fold(open, change) })
    this.#end = new AbortController()
    passGestures(this.#view.element, this.#app, this.#end.signal)
    // A node that was removed and put back still has the widget of its first life.
    const old = node.widgets?.find((widget) => widget.name === WIDGET)
    if (old) node.removeWidget(old)
    const widget = node.addDOMWidget(WIDGET, WIDGET, this.#view.element, {
      serialize: false,
      getValue: () => '',
      setValue: () => {},
      getMinHeight: () => this.#height() + 2 * widget.margin,
      getMaxHeight: () => (this.#view?.open === false ? this.#height() + 2 * widget.margin : undefined)
    })
    widget.serialize = false
    this.#room.take(widget)
  }

  #height() {
    return this.#view?.open === false ? FOLDED_HEIGHT : OPEN_HEIGHT
  }

  #show() {
    const node = this.#node
    if (!this.#view || !node.graph) return
    watchWidgets(node, this.#watched, () => this.update())
    const settings = readSettings(node, this.#plan)
    const steps = this.#steps()
    const hint = this.#hint(settings)
    const seen = JSON.stringify([settings, steps, hint])
    if (seen === this.#seen) return
    this.#seen = seen
    this.#view.show({
      plan: this.#plan,
      decision: decide(this.#plan, { ...settings, steps }),
      hint,
      byProgress: settings.byProgress
    })
  }

  #hint(settings) {
    if (!loadsFilesOf(this.#node, this.#plan)) return 'stale'
    return sameSettings(settings, settingsOf(this.#plan)) ? null : 'preview'
  }

  /** The last run's steps until the sampler is set to another number. */
  #steps() {
    const set = stepsSet(modelReach(this.#node, this.#app.rootGraph))
    if (this.#run && this.#run.set === set) return this.#run.steps
    return set ?? this.#plan.steps ?? DEFAULT_STEPS
  }
}
