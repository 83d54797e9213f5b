// What a loader's files say of themselves, on the loader: its outputs for words and base model show their values.

import { watchWidgets } from './widgets.js'

const ROUTE = '/klora/lora?name='
const LONGEST = 40
const OUTPUT = 2

/**
 * The loaders: the widgets of their files, and the output that shows each one's words.
 * @type {Record<string, Record<string, string>>}
 */
const LOADERS = {
  KLoRALoadLora: { lora_name: 'trigger_words' },
  KLoRALoadPair: { subject_lora: 'subject_words', style_lora: 'style_words' }
}
const BASE = 'base_model'

/** Keeps the outputs of a loader telling what its files say. @param {any} node @param {any} api @param {any} app */
export function tellFiles(node, api, app) {
  const files = LOADERS[node.comfyClass]
  if (!files) return null
  const watched = new WeakSet()
  let asked = 0
  const look = async () => {
    watchWidgets(node, watched, look)
    const mine = ++asked
    const told = await Promise.all(Object.keys(files).map((name) => fileOf(api, valueOf(node, name))))
    if (mine !== asked) return
    Object.values(files).forEach((output, i) => label(node, output, told[i]?.trigger_words))
    const bases = told.map((each) => each?.base_model).filter(Boolean)
    label(node, BASE, [...new Set(bases)].join(' / '))
    // Nodes 2.0 looks at labels when it is told to, the canvas when it draws.
    node.graph?.trigger?.('node:slot-label:changed', { nodeId: node.id, slotType: OUTPUT })
    app.canvas?.setDirty?.(true, true)
  }
  return look
}

/** @param {any} node @param {string} name */
const valueOf = (node, name) => node.widgets?.find((/** @type {any} */ widget) => widget.name === name)?.value

/** @param {any} api @param {unknown} name @returns {Promise<Record<string, string> | null>} */
async function fileOf(api, name) {
  if (typeof name !== 'string' || !name) return null
  try {
    const answer = await api.fetchApi(ROUTE + encodeURIComponent(name))
    return answer.ok ? await answer.json() : null
  } catch {
    // A server that is restarting tells nothing; the next choice asks again.
    return null
  }
}

/** @param {any} node @param {string} name @param {string | undefined} value */
function label(node, name, value) {
  const slot = node.outputs?.findIndex((/** @type {any} */ one) => one.name === name) ?? -1
  if (slot < 0) return
  const output = node.outputs[slot]
  const short = value && value.length > LONGEST ? `${value.slice(0, LONGEST)}…` : value
  output.label = short ? `${output.localized_name ?? name}: ${short}` : undefined
  // Nodes 2.0 draws an output again where it is another object.
  if (output.constructor !== Object) node.outputs[slot] = new output.constructor(output, node)
}
