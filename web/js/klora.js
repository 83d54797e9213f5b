// The page's side of the pack: a live map on every K-LoRA Fuse node, once it has run.

import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { allNodes, nodeAt } from './graph.js'
import { LiveMap } from './live_map.js'
import { History, planIn } from './restore.js'
import { wordsFor } from './words.js'

const NODE = 'KLoRAFuse'
const ZOOM_SETTLES = 150

const maps = new WeakMap()
const history = new History(api)

app.registerExtension({
  name: 'KLoRA.LiveMap',

  setup() {
    api.addEventListener('progress_state', ({ detail }) => follow(detail.nodes))
    for (const end of ['execution_success', 'execution_error', 'execution_interrupted']) {
      api.addEventListener(end, () => each((map) => map.sampled()))
    }
    api.addEventListener('graphChanged', () => each((map) => map.update()))
    followZoom()
  },

  nodeCreated(node) {
    if (node.comfyClass !== NODE) return
    const locale = app.extensionManager?.setting?.get?.('Comfy.Locale') ?? 'en'
    const map = new LiveMap(app, node, wordsFor(locale))
    maps.set(node, map)
    chain(node, 'onExecuted', (output) => receive(map, output))
    chain(node, 'onRemoved', () => map.destroy())
    // The node gets its id, graph and properties after this call, and its outputs later still.
    chain(node, 'onConfigure', () => setTimeout(() => restore(node, map)))
  },

  onNodeOutputsUpdated(outputs) {
    each((map) => map.locator && !map.hasPlan && receive(map, outputs?.[map.locator]))
  }
})

function receive(map, output) {
  const plan = planIn(output)
  if (plan) map.receive(plan)
}

async function restore(node, map) {
  if (!map.locator || map.hasPlan) return
  receive(map, app.nodeOutputs?.[map.locator])
  if (map.hasPlan) return
  const plan = await history.planOf(app.rootGraph.id, executionIdOf(node))
  if (map.hasPlan || !node.graph) return
  if (plan) map.recall(plan)
  else map.release()
}

/** `5`, or `7:5` in the subgraph of node 7. */
function executionIdOf(node) {
  const path = [node.id]
  for (let { graph } = node; graph && graph !== app.rootGraph; ) {
    const host = [...allNodes(app.rootGraph)].find((other) => other.subgraph === graph)
    if (!host) break
    path.unshift(host.id)
    graph = host.graph
  }
  return path.join(':')
}

/** Marks the step on the maps whose node feeds a sampler that runs. */
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

function each(act) {
  for (const node of allNodes(app.rootGraph)) {
    const map = maps.get(node)
    if (map) act(map)
  }
}

function chain(node, name, then) {
  const before = node[name]
  node[name] = function (...values) {
    const result = before?.apply(this, values)
    then(...values)
    return result
  }
}

function followZoom() {
  let timer = 0
  const settle = () => {
    clearTimeout(timer)
    timer = setTimeout(() => each((map) => map.refit()), ZOOM_SETTLES)
  }
  for (const kind of ['wheel', 'keyup', 'pointerup']) {
    window.addEventListener(kind, settle, { passive: true, capture: true })
  }
}
