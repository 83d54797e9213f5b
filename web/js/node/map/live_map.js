// The live map of one fusing node: joins the node's document, widgets and runs to what the view shows.

import { decidedBy } from '../../decision/gates.js'
import { LastDocument } from '../../decision/last_document.js'
import { Runs } from '../../decision/runs.js'
import { asideBy, locatorOf } from '../../graph/graph.js'
import { samplersOf } from '../../graph/samplers.js'
import { loadsFilesOf, ownSettings, setWidget, settingsText, watchWidgets } from '../../graph/widgets.js'
import { fixedBy } from '../../methods/index.js'
import { FOLDED_HEIGHT, MapView, OPEN_HEIGHT } from '../../view/view.js'
import { mount, takePlace } from '../place.js'
import { Hand } from './hand.js'
import { NodeHeight } from './height.js'
import { askedOf, modeOf, shownOf } from './shown.js'

const WIDGET = 'klora_map'

/**
 * @typedef {import('../../decision/document.js').PlanDocument} PlanDocument
 * @typedef {import('../../decision/document.js').Sent} Sent
 * @typedef {Promise<PlanDocument | null>} Whole
 * @typedef {import('../../decision/columns.js').Run} Run
 * @typedef {import('../../decision/columns.js').Columns} Columns
 * @typedef {import('../../decision/gates.js').Gates} Gates
 */

export class LiveMap {
  #app
  #node
  #words
  #height
  /** @type {MapView} */
  #view
  #last = new LastDocument(() => {
    this.#seen = ''
    this.update()
  })
  /** The node's own widgets when it was last looked at. */
  #own = ''
  /** @type {WeakSet<object>} */
  #watched = new WeakSet()
  #runs = new Runs()
  #hand
  /** @type {Columns | null} */
  #columns = null
  /** @type {import('./shown.js').Gated | null} */
  #gates = null
  #seen = ''
  #frame = 0
  #end = new AbortController()

  /** @param {any} app @param {any} node @param {import('../../view/words.js').Words} words */
  constructor(app, node, words) {
    this.#app = app
    this.#node = node
    this.#words = words
    this.#hand = new Hand(app, node)
    this.#height = new NodeHeight(app, node)
    this.#view = this.#attach()
    this.#height.take()
  }

  /** Whether nothing was sent for it yet. */
  get waits() {
    return this.#last.waits
  }

  get locator() {
    return this.#node.graph ? locatorOf(this.#node, this.#app.rootGraph) : null
  }

  get node() {
    return this.#node
  }

  /** The node was loaded from a file. @param {any} saved */
  configured(saved) {
    if (this.#view.open !== this.#height.open) this.#view.fold(this.#height.open)
    this.#height.restore(saved?.size?.[1])
    this.update()
  }

  /** The node is on a graph, for the first time or again. */
  added() {
    if (this.#end.signal.aborted) {
      this.#view = this.#attach()
      this.#seen = ''
    }
    this.update()
  }

  /** A run has decided, and sent what it was set to. @param {Sent} sent @param {Whole} whole */
  receive(sent, whole) {
    const { rootGraph } = this.#app
    const setTo = settingsText(this.#node, rootGraph, fixedBy(sent.method))
    this.#last.expect({ whole, workflow: rootGraph.id, setTo })
  }

  /** The same of an earlier run, if this node surely stands for it. @param {Sent} sent @param {Whole} whole */
  recall(sent, whole) {
    const { rootGraph } = this.#app
    if (loadsFilesOf(this.#node, sent, rootGraph) === true) this.#last.expect({ whole, workflow: rootGraph.id, setTo: null })
  }

  /**
   * Goes on with what the map of a node showed that has just gone, if this node is what became of it: the host makes
   * nodes anew when it converts them to a subgraph or unpacks one. Of several the one with the same settings.
   * @param {LiveMap[]} gone
   */
  succeed(gone) {
    const { title, type } = this.#node
    const alike = gone.filter((map) => {
      const { title: its, type: kind } = map.#node
      return map.#last.isOf(this.#app.rootGraph.id) && its === title && kind === type
    })
    const own = ownSettings(this.#node)
    const before = alike.find((map) => map.#own === own) ?? (alike.length === 1 ? alike[0] : null)
    // A file that was opened anew is another piece of work, with other files.
    const plan = before ? before.#last.plan : null
    if (!before || (plan && loadsFilesOf(this.#node, plan, this.#app.rootGraph) === false)) return false
    this.#runs = before.#runs
    this.#last.succeed(before.#last)
    this.#hand.choose(before.#hand.lora)
    return true
  }

  /** Looks at the node's widgets and the graph on the next frame, and draws if anything has changed. */
  update() {
    if (this.#frame || this.#end.signal.aborted) return
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0
      this.#show()
    })
  }

  /** Another prompt begins: runs told from now on belong to it. */
  prompted() {
    this.#runs.begin()
    this.#view.mark(null)
  }

  /** A sampler run of this node's model begins. @param {Run} run */
  running(run) {
    this.#view.miss('')
    const { rootGraph } = this.#app
    this.#runs.add(run, modeOf(this.#node, rootGraph, this.#last.plan), samplersOf(this.#node, rootGraph).shape)
    this.update()
  }

  /** Layers that a LoRA changes did not run. @param {import('../../decision/runs.js').Unseen} unseen */
  missing({ layers, of, whole }) {
    const said = whole ? this.#words.unseenWhole : this.#words.unseen
    this.#view.miss(layers.length ? `${said(layers.length, of)} ${layers.join(', ')}` : '')
  }

  /** A run is over, in which the picture decided. @param {Gates} gates */
  gated(gates) {
    const { plan } = this.#last
    // The document may still be on its way, and may come again.
    this.#gates = { gates, of: plan && decidedBy(plan) }
    this.#seen = ''
    this.update()
  }

  /** The sampler of this node's model that the present prompt has come to, by its execution id; or null. */
  get sampler() {
    return this.#runs.sampler
  }

  /** That sampler is at `step` (from 0) of `steps`. @param {number} step @param {number} steps */
  sampling(step, steps) {
    this.#view.mark(this.#runs.columnOf(this.#columns, step, steps))
  }

  sampled() {
    this.#view.mark(null)
  }

  /** Why the last run failed at this node, or ''. @param {string} sentence */
  fail(sentence) {
    this.#view.fail(sentence)
  }

  refit() {
    this.#view.refit()
  }

  destroy() {
    cancelAnimationFrame(this.#frame)
    this.#frame = 0
    this.#end.abort()
    this.#view.destroy()
  }

  #attach() {
    const node = this.#node
    const view = new MapView({
      words: this.#words,
      open: this.#height.open,
      onFold: (open, change) => {
        const difference = Math.max(view.element.offsetHeight, OPEN_HEIGHT) - FOLDED_HEIGHT
        this.#height.fold(open, open ? OPEN_HEIGHT - FOLDED_HEIGHT : difference, change)
      },
      onSet: ({ dial, value }) => {
        setWidget(node, dial, value, this.#app)
        this.update()
      },
      painting: {
        choose: (lora) => {
          this.#hand.choose(lora)
          this.update()
        },
        stroke: (stroke, done) => {
          const { plan } = this.#last
          if (plan && this.#columns) this.#hand.stroke(stroke, done, plan, this.#columns.xs)
          this.update()
        }
      }
    })
    this.#end = new AbortController()
    mount(node, WIDGET, view.element, {
      app: this.#app,
      label: this.#words.title,
      signal: this.#end.signal,
      least: () => (view.open ? OPEN_HEIGHT : FOLDED_HEIGHT),
      most: () => (view.open ? undefined : FOLDED_HEIGHT)
    })
    return view
  }

  #show() {
    const node = this.#node
    const { rootGraph } = this.#app
    if (!node.graph) return
    takePlace(this.#view.element, node, WIDGET)
    this.#height.keep()
    watchWidgets(node, this.#watched, () => this.update())
    this.#own = ownSettings(node)
    const { plan, setTo, gone } = this.#last
    const asked = plan && askedOf(node, plan, { rootGraph, runs: this.#runs, hand: this.#hand, setTo })
    if (!plan || !asked) {
      this.#view.wait(asideBy(node, rootGraph) ?? (gone ? 'gone' : null))
      return
    }
    if (asked.seen === this.#seen) return
    this.#seen = asked.seen
    const shown = shownOf(node, plan, asked, this.#gates)
    this.#columns = shown.decision.columns
    this.#view.show(shown)
  }
}
