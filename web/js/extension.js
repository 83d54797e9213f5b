// The page's side of the pack: a live map on every fusing node, a sheet of pictures where they are picked.

import { readRun } from './decision/columns.js'
import { readGates } from './decision/gates.js'
import { readUnseen } from './decision/runs.js'
import { allNodes, executionIdOf, nodeAt } from './graph/graph.js'
import { Advanced } from './node/advanced.js'
import { paint } from './node/colour.js'
import { ERROR, sayOn } from './node/line.js'
import { LiveMap } from './node/live_map.js'
import { tellFiles } from './node/lora_files.js'
import { movesOf } from './node/order.js'
import { PickSheets } from './node/picking/sheets.js'
import { TriggerWords } from './node/trigger_words.js'
import { api, app, claimPage } from './page/comfy.js'
import { History, sentIn } from './page/history.js'
import { Previews } from './page/previews.js'
import { readOldOrders } from './page/old_orders.js'
import { Prompts } from './page/prompts.js'
import { SlotSets } from './page/slot_sets.js'
import { sortTemplates, translate } from './page/templates.js'
import { Toasts, sentenceOf } from './page/toasts.js'
import { wordsFor } from './view/words.js'

/** What the ids of the pack's nodes begin with. */
const PACK = 'KLoRA'
// Whatever gives one plan gets a map.
const PLAN = 'KLORA_PLAN'
// LiteGraph's shape of an output that gives a list.
const LIST = 6
const RUN = 'klora.run'
const UNSEEN = 'klora.unseen'
const GATES = 'klora.gates'
const PICKS = 'klora.picks'
const SETTLES = 150
const SUCCEEDS = 2000

/** @type {Map<object, LiveMap>} */
const maps = new Map()
/** Looks again at what else each node shows. @type {Map<object, (() => void)[]>} */
const looks = new Map()
const history = new History(api)
const sets = new SlotSets(api)
const prompts = new Prompts(api)
const toasts = new Toasts(app)
const triggers = new TriggerWords(app, () => wordsFor(locale()))
const sheets = new PickSheets(app, api, history, prompts)
/** @type {(() => void) | null} */
let forgive = null
/** @type {string | undefined} */
let prompt

const extension = {
  name: 'KLoRA.LiveMap',

  setup() {
    listen('progress_state', (detail) => {
      follow(detail.nodes)
      sheets.follow(detail.nodes)
    })
    listen(RUN, (detail) => tell(detail, readRun(detail), (map, run) => map.running(run)))
    listen(UNSEEN, (detail) => tell(detail, readUnseen(detail), (map, unseen) => map.missing(unseen)))
    listen(GATES, (detail) => tell(detail, readGates(detail), (map, gates) => map.gated(gates)))
    listen(PICKS, (detail) => sheets.arrive(detail, prompt))
    listen('execution_start', (detail) => {
      prompt = detail?.prompt_id
      // Asked for at once: the first steps of a run would else wait for the answer without a mark.
      if (prompt) prompts.workflowOf(prompt)
      each((map) => map.prompted())
      toasts.clear()
      forgive?.()
      forgive = null
    })
    listen('execution_error', failed)
    for (const end of ['execution_success', 'execution_error', 'execution_interrupted']) {
      listen(end, () => {
        sheets.ended()
        each((map) => {
          map.sampled()
          // A page that was opened during the run learns at its end what it decided.
          if (map.waits) restore(map.node, map)
        })
      })
    }
    listen('graphChanged', () => {
      each((map) => map.update())
      sheets.update()
      for (const each of looks.values()) for (const look of each) look()
    })
    sortTemplates(api, import.meta.url)
    followHands()
    new Previews(app, api).watch()
    triggers.watch()
  },

  /** @param {any} graph */
  beforeConfigureGraph: (graph) => translate(graph, locale()),

  /** @param {any} nodeType @param {any} definition */
  beforeRegisterNodeDef(nodeType, definition) {
    readOldOrders(nodeType, definition.name)
  },

  /** @param {any} node */
  getNodeMenuItems: (node) => [...triggers.menu(node), ...movesOf(node, wordsFor(locale()))],

  /** @param {any} node */
  nodeCreated(node) {
    const words = wordsFor(locale())
    if (node.comfyClass?.startsWith(PACK)) keep(node, words)
    const sheet = sheets.put(node, locale())
    if (sheet) {
      chain(node, 'onExecuted', (output) => sheet.receive(output))
      chain(node, 'onAdded', () => sheets.added(node, sheet))
      chain(node, 'onRemoved', () => sheets.removed(node))
      for (const change of ['onConfigure', 'onConnectionsChange']) chain(node, change, () => sheet.update())
    }
    // A subgraph only passes on what a node in it gives.
    if (node.subgraph || !node.outputs?.some(isOnePlan)) return
    const map = new LiveMap(app, node, words)
    maps.set(node, map)
    chain(node, 'onExecuted', (output) => receive(map, output))
    chain(node, 'onAdded', () => {
      maps.set(node, map)
      map.added()
    })
    chain(node, 'onRemoved', () => {
      map.destroy()
      forgetGone()
    })
    // The node gets its id, graph and properties after this call, and its outputs later still.
    chain(node, 'onConfigure', (saved) => {
      map.configured(saved)
      setTimeout(() => restore(node, map))
    })
  },

  /** @param {any} outputs */
  onNodeOutputsUpdated(outputs) {
    each((map) => map.locator && map.waits && receive(map, outputs?.[map.locator]))
  }
}

if (claimPage(import.meta.url)) app.registerExtension(extension)

/** @param {any} output */
const isOnePlan = ({ type, shape }) => type === PLAN && shape !== LIST

/** The page's language. @returns {string} */
const locale = () => app.extensionManager?.setting?.get?.('Comfy.Locale') ?? 'en'

/** @param {string} kind @param {(detail: any) => void} heard */
function listen(kind, heard) {
  api.addEventListener(kind, (/** @type {CustomEvent} */ event) => heard(event.detail))
}

/** @param {LiveMap} map @param {any} output */
function receive(map, output) {
  const sent = sentIn(output)
  if (sent) map.receive(sent, sets.documentOf(sent))
}

/** @param {any} node @param {LiveMap} map */
async function restore(node, map) {
  if (!map.locator || !map.waits) return
  receive(map, app.nodeOutputs?.[map.locator])
  if (!map.waits || map.succeed(gone())) return
  const [workflow, id] = [app.rootGraph.id, executionIdOf(node, app.rootGraph)]
  const now = await history.runningOf(workflow, id)
  if (now && map.waits && node.graph) {
    map.recall(now.sent, sets.documentOf(now.sent))
    if (now.run) map.running(now.run)
    return
  }
  const sent = await history.sentOf(workflow, id, sentIn)
  if (sent && map.waits && node.graph) map.recall(sent, sets.documentOf(sent))
}

/** Maps whose node has just left the graph. */
function gone() {
  const there = new Set(allNodes(app.rootGraph))
  return [...maps.values()].filter((map) => !there.has(map.node))
}

function forgetGone() {
  setTimeout(() => {
    for (const map of gone()) {
      map.destroy()
      maps.delete(map.node)
    }
  }, SUCCEEDS)
}

/**
 * Of a sampler run of a fused model: what is `read` of it goes to the map of its node.
 * @template Read @param {any} detail @param {Read | null} read @param {(map: LiveMap, read: Read) => void} act
 */
async function tell(detail, read, act) {
  if (!read || !(await prompts.areOf(detail.prompt ?? prompt, app.rootGraph.id))) return
  const map = maps.get(nodeAt(app.rootGraph, detail.node))
  if (map) act(map, read)
}

/** One of our nodes refused what it was given. @param {any} error */
async function failed(error) {
  const sentence = sentenceOf(error)
  if (!sentence) return
  const here = await prompts.areOf(error.prompt_id, app.rootGraph.id)
  const node = here ? nodeAt(app.rootGraph, error.node_id) : null
  toasts.show(node?.title || 'K-LoRA', sentence)
  if (!node) return
  const map = maps.get(node)
  const say = (/** @type {string} */ text) => (map ? map.fail(text) : sayOn(node, ERROR, text))
  say(sentence)
  forgive = () => say('')
}

/** Gives one of the pack's nodes its looks, and keeps them. @param {any} node @param {import('./view/words.js').Words} words */
function keep(node, words) {
  paint(node)
  chain(node, 'onConfigure', (saved) => paint(node, saved))
  const advanced = Advanced.isFor(node) ? new Advanced(app, node, words) : null
  const all = [() => advanced?.look(), tellFiles(node, api, app, words, triggers) ?? (() => {})]
  const again = () => setTimeout(() => all.forEach((look) => look()))
  again()
  // At once, too: the height that is restored next counts the rows that are folded.
  chain(node, 'onConfigure', () => advanced?.look())
  chain(node, 'onConfigure', again)
  chain(node, 'onConnectionsChange', again)
  chain(node, 'onAdded', () => looks.set(node, all))
  chain(node, 'onRemoved', () => looks.delete(node))
}

/** Marks the step on each map whose model is the one that a sampler runs now. @param {any} states */
function follow(states) {
  each((map) => {
    const { state, value, max } = states?.[map.sampler ?? ''] ?? {}
    if (state === 'running' && max > 1) map.sampling(Math.min(value, max - 1), max)
    else map.sampled()
  })
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

/** Whatever a person does can zoom, or set what the map shows: also on other nodes, and outside of a subgraph. */
function followHands() {
  let timer = 0
  const settle = () => {
    clearTimeout(timer)
    timer = window.setTimeout(() => each((map) => {
      map.refit()
      map.update()
    }), SETTLES)
  }
  for (const kind of ['wheel', 'keyup', 'pointerup', 'change']) {
    window.addEventListener(kind, settle, { passive: true, capture: true })
  }
}
