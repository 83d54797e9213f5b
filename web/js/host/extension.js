// The page's side of the pack: a live map on every fusing node, once it has run.

import { readRun } from '../decision/columns.js'
import { wordsFor } from '../view/words.js'
import { api, app, claimPage } from './comfy.js'
import { allNodes, executionIdOf, nodeAt } from './graph.js'
import { LiveMap } from './live_map.js'
import { readOldOrders } from './old_orders.js'
import { History, planIn } from './restore.js'

// Whatever gives a plan gets a map.
const PLAN = 'KLORA_PLAN'
const RUN = 'klora.run'
const ZOOM_SETTLES = 150

/** @type {WeakMap<object, LiveMap>} */
const maps = new WeakMap()
const history = new History(api)

const extension = {
  name: 'KLoRA.LiveMap',

  setup() {
    listen('progress_state', (detail) => follow(detail.nodes))
    listen(RUN, began)
    listen('execution_start', () => each((map) => map.prompted()))
    for (const end of ['execution_success', 'execution_error', 'execution_interrupted']) {
      listen(end, () => each((map) => map.sampled()))
    }
    listen('graphChanged', () => each((map) => map.update()))
    followZoom()
  },

  /** @param {any} nodeType @param {any} definition */
  beforeRegisterNodeDef(nodeType, definition) {
    readOldOrders(nodeType, definition.name)
  },

  /** @param {any} node */
  nodeCreated(node) {
    if (!node.outputs?.some((/** @type {any} */ output) => output.type === PLAN)) return
    const locale = app.extensionManager?.setting?.get?.('Comfy.Locale') ?? 'en'
    const map = new LiveMap(app, node, wordsFor(locale))
    maps.set(node, map)
    chain(node, 'onExecuted', (output) => receive(map, output))
    chain(node, 'onRemoved', () => map.destroy())
    // The node gets its id, graph and properties after this call, and its outputs later still.
    chain(node, 'onConfigure', () => setTimeout(() => restore(node, map)))
  },

  /** @param {any} outputs */
  onNodeOutputsUpdated(outputs) {
    each((map) => map.locator && !map.hasPlan && receive(map, outputs?.[map.locator]))
  }
}

if (claimPage(import.meta.url)) app.registerExtension(extension)

/** @param {string} kind @param {(detail: any) => void} heard */
function listen(kind, heard) {
  api.addEventListener(kind, (/** @type {CustomEvent} */ event) => heard(event.detail))
}

/** @param {LiveMap} map @param {any} output */
function receive(map, output) {
  const plan = planIn(output)
  if (plan) map.receive(plan)
}

/** @param {any} node @param {LiveMap} map */
async function restore(node, map) {
  if (!map.locator || map.hasPlan) return
  receive(map, app.nodeOutputs?.[map.locator])
  if (map.hasPlan) return
  const plan = await history.planOf(app.rootGraph.id, executionIdOf(node, app.rootGraph))
  if (map.hasPlan || !node.graph) return
  if (plan) map.recall(plan)
  else map.release()
}

/** A sampler run of a fused model begins, and tells the x of its steps. @param {any} detail */
function began(detail) {
  const run = readRun(detail)
  const node = nodeAt(app.rootGraph, detail?.node)
  if (run && node) maps.get(node)?.running(run)
}

/** Marks the step on the maps whose node feeds a sampler that runs. @param {any} states */
function follow(states) {
  for (const [id, { state, value, max, display_node_id: shown }] of Object.entries(states ?? {})) {
    if (max <= 1) continue
    const node = nodeAt(app.rootGraph, shown ?? id)
    each((map) => {
      if (!map.feeds(node)) return
      if (state === 'running') map.sampling(Math.min(value, max - 1), max)
      else map.sampled()
    })
  }
}

/** @param {(map: LiveMap) => void} act */
function each(act) {
  for (const node of allNodes(app.rootGraph)) {
    const map = maps.get(node)
    if (map) act(map)
  }
}

/** @param {any} node @param {string} name @param {(...values: any[]) => void} then */
function chain(node, name, then) {
  const before = node[name]
  node[name] = function (/** @type {any[]} */ ...values) {
    const result = before?.apply(this, values)
    then(...values)
    return result
  }
}

function followZoom() {
  let timer = 0
  const settle = () => {
    clearTimeout(timer)
    timer = window.setTimeout(() => each((map) => map.refit()), ZOOM_SETTLES)
  }
  for (const kind of ['wheel', 'keyup', 'pointerup']) {
    window.addEventListener(kind, settle, { passive: true, capture: true })
  }
}
