// The live map of one fusing node: joins the node's document, widgets and runs to what the view shows.

import { columnAt, columnsFor } from '../decision/columns.js'
import { deciderOf } from '../methods/index.js'
import { FOLDED_HEIGHT, MapView, OPEN_HEIGHT } from '../view/view.js'
import { passGestures } from './gestures.js'
import { locatorOf, modelReach } from './graph.js'
import { NodeRoom } from './node_room.js'
import { Runs } from '../decision/runs.js'
import { samplersOf } from './samplers.js'
import { loadsFilesOf, readerOf, settingsText, watchWidgets } from './widgets.js'

const WIDGET = 'klora_map'
const PROGRESS = 'progress'

/**
 * @typedef {import('../decision/document.js').PlanDocument} PlanDocument
 * @typedef {import('../decision/columns.js').Run} Run
 * @typedef {import('../decision/columns.js').Columns} Columns
 */

export class LiveMap {
  #app
  #node
  #words
  /** @type {MapView | null} */
  #view = null
  #room
  /** @type {PlanDocument | null} */
  #plan = null
  /**
   * What the map can't follow, as set when the document came; null where it came from an earlier run.
   * @type {string | null}
   */
  #setTo = null
  /** @type {WeakSet<object>} */
  #watched = new WeakSet()
  #runs = new Runs()
  /** @type {Columns | null} */
  #columns = null
  #seen = ''
  #frame = 0
  #end = new AbortController()

  /** @param {any} app @param {any} node @param {import('../view/words.js').Words} words */
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

  /** What a run decided; the map appears with the first document. @param {PlanDocument} plan */
  receive(plan) {
    const decider = deciderOf(plan)
    if (!decider) return
    this.#setTo = settingsText(this.#node, decider.fixed)
    this.#take(plan)
  }

  /** What an earlier run decided, if this node still stands for it. @param {PlanDocument} plan */
  recall(plan) {
    if (deciderOf(plan) && loadsFilesOf(this.#node, plan, this.#app.rootGraph)) this.#take(plan)
    else this.release()
  }

  /** No document is to be had: gives back the room that a saved workflow kept for the map. */
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

  /** Whether a node takes the model that this node fused. @param {any} node */
  feeds(node) {
    return this.hasPlan && modelReach(this.#node, this.#app.rootGraph).has(node)
  }

  /** Another prompt begins: runs told from now on belong to it. */
  prompted() {
    this.#runs.begin()
  }

  /** A sampler run of this node's model begins. @param {Run} run */
  running(run) {
    this.#runs.add(run, this.#mode(), samplersOf(this.#node, this.#app.rootGraph).shape)
    this.update()
  }

  /** A sampler fed by this node is at `step` (from 0) of `steps`. @param {number} step @param {number} steps */
  sampling(step, steps) {
    this.#view?.mark(this.#columnOf(step, steps))
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

  /** @param {PlanDocument} plan */
  #take(plan) {
    this.#plan = plan
    this.#seen = ''
    if (!this.#view) this.#attach()
    this.update()
  }

  #attach() {
    const node = this.#node
    const onFold = (/** @type {boolean} */ open, /** @type {() => void} */ change) => this.#room.fold(open, change)
    this.#view = new MapView({ words: this.#words, open: this.#room.open, onFold })
    this.#end = new AbortController()
    passGestures(this.#view.element, this.#app, this.#end.signal)
    // A node that was removed and put back still has the widget of its first life.
    const old = node.widgets?.find((/** @type {any} */ widget) => widget.name === WIDGET)
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

  #mode() {
    return String(readerOf(this.#node)(PROGRESS, this.#plan?.progress.mode))
  }

  #show() {
    const node = this.#node
    const plan = this.#plan
    const decider = plan && deciderOf(plan)
    if (!this.#view || !node.graph || !decider) return
    watchWidgets(node, this.#watched, () => this.update())
    const settings = decider.settings(readerOf(node), plan)
    const mode = this.#mode()
    const sampler = samplersOf(node, this.#app.rootGraph)
    const run = this.#runs.shown(mode, sampler.shape)
    const asked = columnsFor({ mode, run, sampler, resolution: plan.page.steps })
    const hint = this.#hint(plan, settings, mode)
    const seen = JSON.stringify([settings, asked.kind, [...asked.xs], asked.run, hint])
    if (seen === this.#seen) return
    this.#seen = seen
    const decision = decider.decide(plan, settings, asked)
    this.#columns = decision.columns
    this.#view.show({ plan, decision, hint })
  }

  /** @param {PlanDocument} plan @param {any} settings @param {string} mode */
  #hint(plan, settings, mode) {
    if (!loadsFilesOf(this.#node, plan, this.#app.rootGraph)) return 'stale'
    const decider = deciderOf(plan)
    if (!decider) return null
    if (this.#setTo !== null && this.#setTo !== settingsText(this.#node, decider.fixed)) return 'changed'
    if (!decider.fixed) return null
    return decider.same(settings, decider.settingsOf(plan)) && mode === plan.progress.mode ? null : 'preview'
  }

  /**
   * The column of a step that runs: the step's own, or the one that holds its x.
   * @param {number} step @param {number} steps
   */
  #columnOf(step, steps) {
    if (!this.#columns) return null
    const place = this.#runs.placeOf(step, steps)
    if (this.#columns.kind === 'progress') return place && columnAt(this.#columns, place.x)
    if (this.#columns.run) return place && place.column
    return steps === this.#columns.count ? step : null
  }
}
