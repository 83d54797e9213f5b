// The live maps of all nodes of the page that give a plan: who hears of what.

import { allNodes, executionIdOf, nodeAt } from '../../graph/graph.js'
import { sentIn } from '../../page/history.js'
import { LiveMap } from './live_map.js'

const PLAN = 'KLORA_PLAN'
// LiteGraph's shape of an output that gives a list: of many plans there is no one map.
const LIST = 6
const SUCCEEDS = 2000

export class LiveMaps {
  #app
  #history
  #prompts
  #sets
  /** @type {Map<object, LiveMap>} */
  #maps = new Map()

  /**
   * @param {any} app @param {import('../../page/history.js').History} history
   * @param {import('../../page/prompts.js').Prompts} prompts @param {import('../../page/slot_sets.js').SlotSets} sets
   */
  constructor(app, history, prompts, sets) {
    this.#app = app
    this.#history = history
    this.#prompts = prompts
    this.#sets = sets
  }

  /**
   * The map for a new node; null for one that gives no plan, or only passes on what a node in it gives.
   * @param {any} node @param {import('../../view/words.js').Words} words
   */
  put(node, words) {
    const isOnePlan = (/** @type {any} */ { type, shape }) => type === PLAN && shape !== LIST
    if (node.subgraph || !node.outputs?.some(isOnePlan)) return null
    const map = new LiveMap(this.#app, node, words)
    this.#maps.set(node, map)
    return map
  }

  /** The node is on a graph again. @param {any} node @param {LiveMap} map */
  added(node, map) {
    this.#maps.set(node, map)
    map.added()
  }

  /** @param {LiveMap} map */
  removed(map) {
    map.destroy()
    // What becomes of its node goes on with it.
    setTimeout(() => {
      for (const each of this.#gone()) {
        each.destroy()
        this.#maps.delete(each.node)
      }
    }, SUCCEEDS)
  }

  /** The node was loaded from a file. @param {LiveMap} map @param {any} saved */
  configured(map, saved) {
    map.configured(saved)
    // The node gets its id, graph and properties after this call, and its outputs later still.
    setTimeout(() => this.#restore(map))
  }

  /** @param {LiveMap} map @param {any} output */
  receive(map, output) {
    const sent = sentIn(output)
    if (sent) map.receive(sent, this.#sets.documentOf(sent))
  }

  /** What the page has of each node, for those that nothing was sent to. @param {any} outputs */
  find(outputs) {
    this.#each((map) => map.locator && map.waits && this.receive(map, outputs?.[map.locator]))
  }

  /** The map on a node. @param {any} node */
  of(node) {
    return this.#maps.get(node)
  }

  /**
   * Of a sampler run of a fused model: what is `read` of it goes to the map of its node.
   * @template Read @param {any} detail @param {string | undefined} prompt @param {Read | null} read
   * @param {(map: LiveMap, read: Read) => void} act
   */
  async tell(detail, prompt, read, act) {
    const { rootGraph } = this.#app
    if (!read || !(await this.#prompts.areOf(detail.prompt ?? prompt, rootGraph.id))) return
    const map = this.#maps.get(nodeAt(rootGraph, detail.node))
    if (map) act(map, read)
  }

  /** Another prompt begins. */
  prompted() {
    this.#each((map) => map.prompted())
  }

  /** Marks the step on each map whose model is the one that a sampler runs now. @param {any} states */
  follow(states) {
    this.#each((map) => {
      const { state, value, max } = states?.[map.sampler ?? ''] ?? {}
      if (state === 'running' && max > 1) map.sampling(Math.min(value, max - 1), max)
      else map.sampled()
    })
  }

  /** No prompt runs any more. */
  ended() {
    this.#each((map) => {
      map.sampled()
      // A page that was opened during the run learns at its end what it decided.
      if (map.waits) this.#restore(map)
    })
  }

  update() {
    this.#each((map) => map.update())
  }

  /** The page may show them in another size now. */
  refit() {
    this.#each((map) => map.refit())
  }

  /**
   * Shows what was decided for its node before: as the page has it, or a node that is gone, or the prompt that runs, or
   * an earlier one.
   * @param {LiveMap} map
   */
  async #restore(map) {
    const { node } = map
    const { nodeOutputs, rootGraph } = this.#app
    if (!map.locator || !map.waits) return
    this.receive(map, nodeOutputs?.[map.locator])
    if (!map.waits || map.succeed(this.#gone())) return
    const [workflow, id] = [rootGraph.id, executionIdOf(node, rootGraph)]
    const now = await this.#history.runningOf(workflow, id)
    const sent = now?.sent ?? (await this.#history.sentOf(workflow, id, sentIn))
    if (!sent || !map.waits || !node.graph) return
    map.recall(sent, this.#sets.documentOf(sent))
    if (now?.run) map.running(now.run)
  }

  /** Maps whose node has just left the graph. */
  #gone() {
    const there = new Set(allNodes(this.#app.rootGraph))
    return [...this.#maps.values()].filter((map) => !there.has(map.node))
  }

  /** @param {(map: LiveMap) => void} act */
  #each(act) {
    for (const node of allNodes(this.#app.rootGraph)) {
      const map = this.#maps.get(node)
      if (map) act(map)
    }
  }
}
