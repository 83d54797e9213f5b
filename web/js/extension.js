// The page's side of the pack: a live map on every fusing node, a sheet of pictures where they are picked.

import { readRun } from './decision/columns.js'
import { readGates } from './decision/gates.js'
import { readUnseen } from './decision/runs.js'
import { nodeAt } from './graph/graph.js'
import { Advanced } from './node/advanced.js'
import { paint } from './node/colour.js'
import { ERROR, sayOn } from './node/line.js'
import { tellFiles } from './node/lora_files.js'
import { LiveMaps } from './node/map/live_maps.js'
import { movesOf } from './node/order.js'
import { PickSheets } from './node/picking/sheets.js'
import { TriggerWords } from './node/trigger_words.js'
import { api, app, claimPage } from './page/comfy.js'
import { History } from './page/history.js'
import { Previews } from './page/previews.js'
import { readOldOrders } from './page/old_orders.js'
import { Prompts } from './page/prompts.js'
import { SlotSets } from './page/slot_sets.js'
import { sortTemplates, translate } from './page/templates.js'
import { Toasts, sentenceOf } from './page/toasts.js'
import { wordsFor } from './view/words.js'

/** What the ids of the pack's nodes begin with. */
const PACK = 'KLoRA'
const RUN = 'klora.run'
const UNSEEN = 'klora.unseen'
const GATES = 'klora.gates'
const PICKS = 'klora.picks'
const SETTLES = 150

/** Looks again at what else each node shows. @type {Map<object, () => void>} */
const looks = new Map()
const history = new History(api)
const prompts = new Prompts(api)
const toasts = new Toasts(app)
const triggers = new TriggerWords(app, () => wordsFor(locale()))
const maps = new LiveMaps(app, history, prompts, new SlotSets(api))
const sheets = new PickSheets(app, api, history, prompts)
/** @type {(() => void) | null} */
let forgive = null
/** @type {string | undefined} */
let prompt

const extension = {
  name: 'KLoRA.LiveMap',

  setup() {
    listen('progress_state', (detail) => {
      maps.follow(detail.nodes)
      sheets.follow(detail.nodes)
    })
    listen(RUN, (detail) => maps.tell(detail, prompt, readRun(detail), (map, run) => map.running(run)))
    listen(UNSEEN, (detail) => maps.tell(detail, prompt, readUnseen(detail), (map, unseen) => map.missing(unseen)))
    listen(GATES, (detail) => maps.tell(detail, prompt, readGates(detail), (map, gates) => map.gated(gates)))
    listen(PICKS, (detail) => sheets.arrive(detail, prompt))
    listen('execution_start', (detail) => {
      prompt = detail?.prompt_id
      // Asked for at once: the first steps of a run would else wait for the answer without a mark.
      if (prompt) prompts.workflowOf(prompt)
      maps.prompted()
      toasts.clear()
      forgive?.()
      forgive = null
    })
    listen('execution_error', failed)
    for (const end of ['execution_success', 'execution_error', 'execution_interrupted']) {
      listen(end, () => {
        sheets.ended()
        maps.ended()
      })
    }
    listen('graphChanged', () => {
      maps.update()
      sheets.update()
      for (const look of looks.values()) look()
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
    const map = maps.put(node, words)
    if (!map) return
    chain(node, 'onExecuted', (output) => maps.receive(map, output))
    chain(node, 'onAdded', () => maps.added(node, map))
    chain(node, 'onRemoved', () => maps.removed(map))
    chain(node, 'onConfigure', (saved) => maps.configured(map, saved))
  },

  /** @param {any} outputs */
  onNodeOutputsUpdated: (outputs) => maps.find(outputs)
}

if (claimPage(import.meta.url)) app.registerExtension(extension)

/** The page's language. @returns {string} */
const locale = () => app.extensionManager?.setting?.get?.('Comfy.Locale') ?? 'en'

/** @param {string} kind @param {(detail: any) => void} heard */
function listen(kind, heard) {
  api.addEventListener(kind, (/** @type {CustomEvent} */ event) => heard(event.detail))
}

/** One of our nodes refused what it was given. @param {any} error */
async function failed(error) {
  const sentence = sentenceOf(error)
  if (!sentence) return
  const here = await prompts.areOf(error.prompt_id, app.rootGraph.id)
  const node = here ? nodeAt(app.rootGraph, error.node_id) : null
  toasts.show(node?.title || 'K-LoRA', sentence)
  if (!node) return
  const map = maps.of(node)
  const say = (/** @type {string} */ text) => (map ? map.fail(text) : sayOn(node, ERROR, text))
  say(sentence)
  forgive = () => say('')
}

/** Gives one of the pack's nodes its looks, and keeps them. @param {any} node @param {import('./view/words.js').Words} words */
function keep(node, words) {
  paint(node)
  chain(node, 'onConfigure', (saved) => paint(node, saved))
  const advanced = Advanced.isFor(node) ? new Advanced(app, node, words) : null
  const files = tellFiles(node, api, app, words, triggers)
  const look = () => {
    advanced?.look()
    files?.()
  }
  const again = () => setTimeout(look)
  again()
  // At once, too: a choice that is loaded made its rows anew, and the height that the map restores next counts those
  // that are folded.
  chain(node, 'onConfigure', () => advanced?.look())
  chain(node, 'onConfigure', again)
  chain(node, 'onConnectionsChange', again)
  chain(node, 'onAdded', () => looks.set(node, look))
  chain(node, 'onRemoved', () => looks.delete(node))
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
    timer = window.setTimeout(() => {
      maps.refit()
      maps.update()
    }, SETTLES)
  }
  for (const kind of ['wheel', 'keyup', 'pointerup', 'change']) {
    window.addEventListener(kind, settle, { passive: true, capture: true })
  }
}
